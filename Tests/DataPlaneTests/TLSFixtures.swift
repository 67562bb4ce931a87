/// Certificates and keys made for these tests alone; nobody trusts them.
enum TLSFixtures {
    /// Signs `first` and `second`.
    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBiDCCAS+gAwIBAgIUVsdL7PPEwvR/dhPIxsZpBys/4hMwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MTAzMzAyWhgPMjEy
        NjEwMzExMDMzMDJaMBkxFzAVBgNVBAMMDlRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
        zj0CAQYIKoZIzj0DAQcDQgAEdKik3pCfAbo3qcPHcJE6tD/cwg34EnjtVbPOjREx
        BCzRoIWss+FetpWGcdhYBqiG1g19BLzFsPWd7ka//lSrn6NTMFEwHQYDVR0OBBYE
        FM05056QDT4cacT8x0WpxrfhWm9gMB8GA1UdIwQYMBaAFM05056QDT4cacT8x0Wp
        xrfhWm9gMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgcMFkg2l1
        lnTciwEOY9tigtcBHyf/tW8BN01RvtPoI0oCIBFiSnfOhjmjDK8NoK8Qz1pST/pw
        AK6qyzKkNP/OaPqJ
        -----END CERTIFICATE-----
        """
    /// For first.example and 127.0.0.1.
    static let firstChain = """
        -----BEGIN CERTIFICATE-----
        MIIBjjCCATWgAwIBAgIUYT62vFpqlfaBLT2ebdUK2HK0pGwwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MTAzMzAyWhgPMjEy
        NjEwMzExMDMzMDJaMBAxDjAMBgNVBAMMBWZpcnN0MFkwEwYHKoZIzj0CAQYIKoZI
        zj0DAQcDQgAEBkrhEmJOpOgUVzI4qM1CCnQlH1f0UEtOfxfKSF2mElZE5rM+QTO1
        14mrGBvXMhQPOpKuwFUj5wSUIIa+JWOIPKNiMGAwHgYDVR0RBBcwFYINZmlyc3Qu
        ZXhhbXBsZYcEfwAAATAdBgNVHQ4EFgQUNVqX4uT1Sbui1PE92e6rWpovNUIwHwYD
        VR0jBBgwFoAUzTnTnpANPhxpxPzHRanGt+Fab2AwCgYIKoZIzj0EAwIDRwAwRAIg
        UO+UlHbXbkHq5YyMlBTw1ulzWh/mNa/fASe28r3PbKkCICtm3F2MomcyeMh3w8Mh
        1GTR5xUdSqls7IZd2Qd1+Uxa
        -----END CERTIFICATE-----
        """
    /// Of `firstChain`.
    static let firstKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYA4y/gfrpfKLTNfQ
        vag+YdM2Wp7xYYr+YZ2KRoQoPDWhRANCAAQGSuESYk6k6BRXMjiozUIKdCUfV/RQ
        S05/F8pIXaYSVkTmsz5BM7XXiasYG9cyFA86kq7AVSPnBJQghr4lY4g8
        -----END PRIVATE KEY-----
        """
    /// For *.second.example.
    static let secondChain = """
        -----BEGIN CERTIFICATE-----
        MIIBjDCCATOgAwIBAgIUYT62vFpqlfaBLT2ebdUK2HK0pG0wCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MTAzMzAyWhgPMjEy
        NjEwMzExMDMzMDJaMBExDzANBgNVBAMMBnNlY29uZDBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABFQqsnQJUm7UekiYlZP3tKujubT1WFz4P1hHUjjKrKbYcdWKzXxb
        TkoSe4MloE3yBzmomNc86JtQid3Uxc4256KjXzBdMBsGA1UdEQQUMBKCECouc2Vj
        b25kLmV4YW1wbGUwHQYDVR0OBBYEFLEm0Mq7Up//NZsALhDMS8+6VBhRMB8GA1Ud
        IwQYMBaAFM05056QDT4cacT8x0WpxrfhWm9gMAoGCCqGSM49BAMCA0cAMEQCIHeZ
        JIvTu5GwXA4tNdG+JlMbnUT8UWCiFGCHx2Rg/2dDAiB4CVD6PuEgti/aHmxb3azL
        FJVXPF67lCHsYF9k0EEE8Q==
        -----END CERTIFICATE-----
        """
    /// Of `secondChain`.
    static let secondKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3R/mAix4FM4A1v53
        A5xoYjkb3yt2ElEXNE3oSIWzEJehRANCAARUKrJ0CVJu1HpImJWT97Sro7m09Vhc
        +D9YR1I4yqym2HHVis18W05KEnuDJaBN8gc5qJjXPOibUInd1MXONuei
        -----END PRIVATE KEY-----
        """
    /// For first.example, signed by itself.
    static let renewedChain = """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATugAwIBAgIUTKPoBOCLaN4f0V2OD5r4+BdQBx4wCgYIKoZIzj0EAwIw
        EjEQMA4GA1UEAwwHcmVuZXdlZDAgFw0yNjExMjQxMDM0MzFaGA8yMTI2MTAzMTEw
        MzQzMVowEjEQMA4GA1UEAwwHcmVuZXdlZDBZMBMGByqGSM49AgEGCCqGSM49AwEH
        A0IABLX/LBNKAVfGZVGd0syhqakqNtF+KZ8jhwP12dIdY0LyvXRJduc30cHO3Cpx
        VBZh7Bulw9Egh89QlXM1fSLs8jejbTBrMB0GA1UdDgQWBBRQ6206/Yi2wG1d7bGP
        64dvfx6kmjAfBgNVHSMEGDAWgBRQ6206/Yi2wG1d7bGP64dvfx6kmjAPBgNVHRMB
        Af8EBTADAQH/MBgGA1UdEQQRMA+CDWZpcnN0LmV4YW1wbGUwCgYIKoZIzj0EAwID
        SAAwRQIgdCsmwhHqQHwtsnpzN0FZ4BB/Ez8yGu22ZBKuzkFb3OgCIQDCgkTFJyqF
        M4SC2sG2U+nW/K9s6lnKWRcOSwLllHvKJA==
        -----END CERTIFICATE-----
        """
    /// Of `renewedChain`.
    static let renewedKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnQnCD2xZcQMKHItw
        LDU/d+MCNaFxc3qg5JK2xtRs9j6hRANCAAS1/ywTSgFXxmVRndLMoampKjbRfimf
        I4cD9dnSHWNC8r10SXbnN9HBztwqcVQWYewbpcPRIIfPUJVzNX0i7PI3
        -----END PRIVATE KEY-----
        """
    /// RSA with 1,024 bits.
    static let weakChain = """
        -----BEGIN CERTIFICATE-----
        MIIB/DCCAWWgAwIBAgIUI6j6bKTiCLypGRx+2mhXSv1Jl+kwDQYJKoZIhvcNAQEL
        BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjQxMDMzMDJaGA8yMTI2MTAzMTEw
        MzMwMlowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
        gYEAs6SzWiyQjRwoyc5kmAoIIoqRXI0w5elW+BrbaWF8yKdAxx36kGmK5QkyeCsD
        49FB/E2Gy4ide1aNiCVxgehHeD+14aVbvXzalbET2qMB0Kt1/miGJH8glmjgQ1cn
        wap8hzVtqWPZwUl6mmgh6RUq1lsronzbolg4ptox3n1zdgUCAwEAAaNTMFEwHQYD
        VR0OBBYEFLTD77xtMQkXuSzEh2u/rYj4N/aiMB8GA1UdIwQYMBaAFLTD77xtMQkX
        uSzEh2u/rYj4N/aiMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA
        W06lip5Dq+sBh3LxXvnZRxHSLHFiLFmrXP8BgxmpUcTohdjkSjUXFNYzK2GHGQPC
        9hWrAZEQwu8rBgGnfhWT3UZx7SLKuNTh9y2lRvyYZPuHe6hZkmwSWf3myMfEg9Yl
        MRUZokMQ+8mhAmntqN0i7xrB61tc2OTIurm4KRh+kGI=
        -----END CERTIFICATE-----
        """
    /// Of `weakChain`.
    static let weakKey = """
        -----BEGIN PRIVATE KEY-----
        MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBALOks1oskI0cKMnO
        ZJgKCCKKkVyNMOXpVvga22lhfMinQMcd+pBpiuUJMngrA+PRQfxNhsuInXtWjYgl
        cYHoR3g/teGlW7182pWxE9qjAdCrdf5ohiR/IJZo4ENXJ8GqfIc1balj2cFJeppo
        IekVKtZbK6J826JYOKbaMd59c3YFAgMBAAECgYAiqfdJwSurbvGX71GN3PGw6Jgg
        CcaTtrDncxc/gGY5ubxQL8K3twXsKBgrA/HeNfTLoJIQGC57LDpnOQJsFMwlXyy5
        Cw/7kyBF7c1IIUgcc4l89GeLc0br2J7/tS0weKwNbho1ne5hlt6eS7GbaBtGVOPa
        v24uEyo8ZBdKyHZsiQJBANusfyK1UFI4BjdMEWCcq4la6Zi1wttivK4GAYN1YYcN
        JmYtBZIeHEMMWctHid2IY3jpn53hlAZlCiuT59PTylcCQQDRWZXaM/TbXUQBlxTg
        vDz8vMbgUpdEtfkoO0xPPsq+aLx4IaxHOgO9WORgcr4/EgW6K/5Z1h0Hm4GCNYeS
        KEEDAkEAriUXPHqkTCmhs+CXvhE1Y1Qw7yDYcnbZwNN+C6rYP+nK0SFL00QPf4+g
        96ekwXxH7yi1osGbSV58K4O7OpAhTQJBAJz3IIZUgnife0f98Wd3e/q7yBmVk1mv
        XzstCtA38mfFu9oO1U8qTnd/2Ov/3GkJqEWoirLs+SMlE3t/i0Co8eUCQQDCg9Ec
        ThQbI/nJ1rLpG0eBqDFfwBthEe6d2vJ1tmaVQKIUkfFuugprePf6NYPx+3l2cNEK
        wMEHqzBp36PRmrOU
        -----END PRIVATE KEY-----
        """
    /// `firstKey` under a pass phrase.
    static let encryptedKey = """
        -----BEGIN EC PRIVATE KEY-----
        Proc-Type: 4,ENCRYPTED
        DEK-Info: AES-128-CBC,DA4FE13AAA213B974A4B5CAE8BEB5E5C

        5Vx0mF3uqXKcST1oep348NDilQPDTjsRUBxoWy5MMn3JIQsi2lCniM0KS7Fc9kEG
        k3BuVjZ4qkjojHcc7xz78Qc+iEwBeBlD0LgTdqdA13kp3sg8dp8W4/kYX4QF8Ja0
        LYMVXIaITeseWRiwOJ0EVKJcQAyb6paf14PHPq7J71I=
        -----END EC PRIVATE KEY-----
        """
}
