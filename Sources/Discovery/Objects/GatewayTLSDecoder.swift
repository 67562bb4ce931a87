import MeshModel

/// `spec.tls` of a Gateway: validation of clients' certificates (GEP-91), and its own towards
/// endpoints (GEP-3155).
enum GatewayTLSDecoder {
    static func read(_ spec: inout FieldReader, into content: inout GatewayContent) {
        var tls = spec.reader("tls")
        defer { tls.refuseUnknown() }
        if tls.has("backend") {
            var backend = tls.reader("backend")
            defer { backend.refuseUnknown() }
            if backend.has("clientCertificateRef") {
                var reference = backend.reader("clientCertificateRef")
                content.endpointCertificate = GatewayDecoder.reference(
                    &reference,
                    defaultKind: "Secret"
                )
                reference.refuseUnknown()
            }
        }
        guard tls.has("frontend") else { return }
        var frontend = tls.reader("frontend")
        defer { frontend.refuseUnknown() }
        if frontend.has("default") {
            var configuration = frontend.reader("default")
            content.clientValidation = validation(&configuration)
            configuration.refuseUnknown()
        }
        for port in frontend.readers("perPort") {
            var port = port
            defer { port.refuseUnknown() }
            guard let number = port.integer("port", 1...65_535).map({ UInt16($0) }) else {
                port.refuse("port", "expected a port")
                continue
            }
            if content.clientValidationByPort[number] != nil {
                port.refuse("port", "expected each port once, found \(number) twice")
            }
            var configuration = port.reader("tls")
            content.clientValidationByPort[number] = .some(validation(&configuration))
            configuration.refuseUnknown()
        }
    }

    private static func validation(
        _ reader: inout FieldReader
    ) -> GatewayContent.ClientValidation? {
        guard reader.has("validation") else { return nil }
        var validation = reader.reader("validation")
        defer { validation.refuseUnknown() }
        let modes = [("AllowValidOnly", false), ("AllowInsecureFallback", true)]
        let references = validation.references("caCertificateRefs", most: 8, namespaced: true)
        if references.isEmpty {
            validation.refuse("caCertificateRefs", "expected at least one reference")
        }
        return GatewayContent.ClientValidation(
            authorities: references,
            allowsInsecureFallback: validation.choice("mode", among: modes) ?? false
        )
    }
}
