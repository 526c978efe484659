# Which CSV guests are let in, by the reference values in csvData.
#
# input holds what was appraised of the peer, data the reference values:
#   measure   list of launch measurements, base64; an empty list lets nobody in
#
# A policy for CSV has to compare the measure. The mask over a report's fields is
# not signed, so that no other field is certain without it.
package policy

default allow = false

allow {
    is_array(data.measure)
    data.measure[_] == input.measure
}
