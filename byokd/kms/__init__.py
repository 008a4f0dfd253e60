"""AWS KMS through aiobotocore: the real `ports.Kms`.

    adapter   what each call sends and how its answer is read
    client    one lane's client: opened at its first call, opened anew when its credentials turn out bad
    quotas    what the account is allowed, of Service Quotas
    identity  a lane's session: its profile, its role, and where credentials come from
    faults    every foreign error to one of byokd's, cause kept

One call is one attempt. Nothing here waits and tries again: botocore's retries are off, and the lane decides.
"""
