# Which TDs are let in, by the reference values in tdxData.
#
# input.tdx holds what was appraised of the peer, data the reference values, all in lower-case hex:
#   mr_td                                     list of measurements; an empty list lets nobody in
#   rtmr0, rtmr1, rtmr2, rtmr3                lists of measurements; an empty list stands for any
#   mr_config_id, mr_owner, mr_owner_config   lists of what the TD's owner set; an empty list stands for any
package policy

default allow = false

allow {
    is_array(data.mr_td)
    data.mr_td[_] == input.tdx.mr_td
    rtmr0_is_expected
    rtmr1_is_expected
    rtmr2_is_expected
    rtmr3_is_expected
    config_is_expected
    owner_is_expected
    owner_config_is_expected
}

rtmr0_is_expected {
    is_expected(input.tdx.rtmr0, data.rtmr0)
}

rtmr1_is_expected {
    is_expected(input.tdx.rtmr1, data.rtmr1)
}

rtmr2_is_expected {
    is_expected(input.tdx.rtmr2, data.rtmr2)
}

rtmr3_is_expected {
    is_expected(input.tdx.rtmr3, data.rtmr3)
}

config_is_expected {
    is_expected(input.tdx.mr_config_id, data.mr_config_id)
}

owner_is_expected {
    is_expected(input.tdx.mr_owner, data.mr_owner)
}

owner_config_is_expected {
    is_expected(input.tdx.mr_owner_config, data.mr_owner_config)
}

is_expected(found, expected) {
    is_array(expected)
    count(expected) == 0
    is_string(found)
}

is_expected(found, expected) {
    is_array(expected)
    expected[_] == found
}
