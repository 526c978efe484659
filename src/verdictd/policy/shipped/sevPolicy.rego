# Which SEV guests are let in, by the reference values in sevData.
#
# input holds what was appraised of the peer, data the reference values:
#   launchDigest   list of launch digests, hex; an empty list lets nobody in
#
# SEV evidence is bound to no key: whoever has seen it can present it.
package policy

default allow = false

allow {
    is_array(data.launchDigest)
    data.launchDigest[_] == input.sev.launch_digest
}
