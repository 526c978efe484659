# Which SGX enclaves are let in, by the reference values in sgxData.
#
# input holds what was appraised of the peer, data the reference values:
#   mrEnclave, mrSigner   lists of measurements, base64; an empty list stands for any
#   productId, svn        the lowest ISVPRODID and ISVSVN
package policy

default allow = false

allow {
    enclave_is_expected
    signer_is_expected
    product_is_expected
    version_is_expected
}

enclave_is_expected {
    is_array(data.mrEnclave)
    count(data.mrEnclave) == 0
}

enclave_is_expected {
    is_array(data.mrEnclave)
    data.mrEnclave[_] == input.mrEnclave
}

signer_is_expected {
    is_array(data.mrSigner)
    count(data.mrSigner) == 0
}

signer_is_expected {
    is_array(data.mrSigner)
    data.mrSigner[_] == input.mrSigner
}

product_is_expected {
    at_least(input.productId, data.productId)
}

version_is_expected {
    at_least(input.svn, data.svn)
}

# Rego orders values of different types too; only numbers are meant.
at_least(found, minimum) {
    is_number(found)
    is_number(minimum)
    found >= minimum
}
