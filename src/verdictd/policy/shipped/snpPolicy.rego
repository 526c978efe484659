# Which SEV-SNP guests are let in, by the reference values in snpData.
#
# input holds what was appraised of the peer, data the reference values, all hex:
#   measurement             list of launch measurements; an empty list lets nobody in
#   hostData, idKeyDigest   lists of what the host gave at the launch, and of the keys
#                           that signed the guest's identity; an empty list stands for any
package policy

default allow = false

allow {
    is_array(data.measurement)
    data.measurement[_] == input.snp.measurement
    host_data_is_expected
    id_key_is_expected
}

host_data_is_expected {
    is_array(data.hostData)
    count(data.hostData) == 0
}

host_data_is_expected {
    is_array(data.hostData)
    data.hostData[_] == input.snp.host_data
}

id_key_is_expected {
    is_array(data.idKeyDigest)
    count(data.idKeyDigest) == 0
}

id_key_is_expected {
    is_array(data.idKeyDigest)
    data.idKeyDigest[_] == input.snp.id_key_digest
}
