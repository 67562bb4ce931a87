import LinuxSystem

/// A certificate authority for one test, made by the `openssl` program in a directory of the test.
package struct TestAuthority: Sendable {
    /// A certificate it signed, as paths of PEM files.
    package struct Leaf: Sendable {
        /// The certificate.
        package let certificate: String
        /// Its key.
        package let key: String
    }

    /// The authority's own certificate, PEM.
    package let certificate: String
    private let directory: String
    private let name: String

    private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

    /// Makes an authority.
    ///
    /// - Parameters:
    ///   - name: unique in the directory.
    package init(in directory: String, name: String) {
        self.directory = directory
        self.name = name
        certificate = "\(directory)/\(name).crt"
        Command.run(
            "openssl req -x509 \(TestAuthority.newKey) -keyout \(directory)/\(name).key "
                + "-out \(certificate) -days 3650 -subj /CN=\(name)"
        )
    }

    /// Signs a certificate.
    ///
    /// - Parameters:
    ///   - alternativeNames: as OpenSSL writes them: `IP:127.0.0.1,DNS:api.example`.
    package func issue(_ leaf: String, alternativeNames: String) throws -> Leaf {
        let base = "\(directory)/\(leaf)"
        try FileSystem.replace(
            "\(base).ext",
            with: Array("subjectAltName=\(alternativeNames)\n".utf8)
        )
        Command.run(
            "openssl req -new \(TestAuthority.newKey) -keyout \(base).key -out \(base).csr "
                + "-subj /CN=\(leaf)"
        )
        Command.run(
            "openssl x509 -req -in \(base).csr -CA \(certificate) -CAkey \(directory)/\(name).key "
                + "-CAcreateserial -out \(base).crt -days 3650 -extfile \(base).ext"
        )
        return Leaf(certificate: "\(base).crt", key: "\(base).key")
    }
}
