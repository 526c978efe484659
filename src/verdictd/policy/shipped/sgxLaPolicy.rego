# Which SGX enclaves are let in by a local report, by the reference values in sgxLaData.
#
# input holds what was appraised of the peer, data the reference values:
#   mrEnclave   list of measurements, base64; an empty list lets nobody in
#
# A local report says nothing of who keeps the platform up to date.
package policy

default allow = false

allow {
    is_array(data.mrEnclave)
    data.mrEnclave[_] == input.mrEnclave
}
