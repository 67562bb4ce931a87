import MeshModel

/// A ListenerPolicy or BackendPolicy (`martlet.mesh/v1alpha1`): its targets, and its spec, which is
/// laid over that of a more general policy when a target's settings are made.
package struct SettingsPolicyContent: Equatable, Sendable {
    var targets: [PolicyTarget] = []
    var spec: DocumentNode

    /// Whether it sets what guards its target, which then answers nothing rather than without it.
    var guardsTarget: Bool { spec["tls"] != nil || spec["proxyProtocol"] != nil }
}

/// A BackendTLSPolicy (`gateway.networking.k8s.io/v1`, GEP-1897).
package struct BackendTLSPolicyContent: Equatable, Sendable {
    var targets: [PolicyTarget] = []
    var host = ""
    var names: [BackendTLSSettings.SubjectName] = []
    var authorities: [ObjectReference] = []
    var trustsSystem = false
    var minimumVersion: ListenerTLSSettings.Version?
}

/// Policies that set what listeners and clusters do, read strictly.
enum SettingsDecoder {
    /// The option of a BackendTLSPolicy that sets the oldest version of TLS.
    static let minimumVersionOption = "martlet.mesh/minimum-version"

    /// Reads a policy of an object's `spec`.
    static func content(
        _ key: ObjectKey,
        _ reader: inout FieldReader
    ) -> KubernetesObject.Content? {
        let node = reader.node("spec")
        if node == nil { reader.refuse("spec", "expected a mapping, found nothing") }
        reader.refuseUnknown()
        var spec = FieldReader(node, path: "spec", reader.faults)
        defer { spec.refuseUnknown() }
        if key.kind == .backendTLSPolicy { return .backendTLSPolicy(backendTLS(key, &spec)) }
        var content = SettingsPolicyContent(spec: node ?? .mapping([], line: reader.line))
        if key.kind == .listenerPolicy {
            content.targets = PolicyTarget.targets(of: .gateway, key, &spec)
            var patch = ListenerPatch()
            patch.apply(&spec)
            if let reason = patch.contradiction { spec.refuse("tls", reason) }
            return .listenerPolicy(content)
        }
        content.targets = PolicyTarget.targets(of: .service, key, &spec)
        var patch = BackendPatch()
        patch.apply(&spec)
        if let reason = patch.contradiction { spec.refuse("balancing", reason) }
        return .backendPolicy(content)
    }

    private static func backendTLS(
        _ key: ObjectKey,
        _ spec: inout FieldReader
    ) -> BackendTLSPolicyContent {
        var content = BackendTLSPolicyContent()
        content.targets = PolicyTarget.targets(of: .service, key, &spec)
        var validation = spec.reader("validation")
        if !spec.has("validation") {
            spec.refuse("validation", "expected a mapping, found nothing")
            return content
        }
        content.host = BackendTLSSettings.host(&validation, "hostname")
        content.names = BackendTLSSettings.names(&validation)
        content.authorities = validation.references("caCertificateRefs", most: 8, namespaced: false)
        if let wellKnown = validation.string("wellKnownCACertificates") {
            content.trustsSystem = true
            if wellKnown != "System" {
                validation.refuse(
                    "wellKnownCACertificates",
                    "expected System, found \"\(wellKnown)\""
                )
            }
        }
        if content.trustsSystem == !content.authorities.isEmpty {
            validation.refuse(
                "caCertificateRefs",
                "expected either caCertificateRefs or wellKnownCACertificates"
            )
        }
        validation.refuseUnknown()
        options(&spec, &content)
        return content
    }

    private static func options(
        _ spec: inout FieldReader,
        _ content: inout BackendTLSPolicyContent
    ) {
        let options = spec.stringMap("options")
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            guard name == minimumVersionOption else {
                spec.refuse("options", "expected \(minimumVersionOption), found \"\(name)\"")
                continue
            }
            content.minimumVersion = ListenerTLSSettings.Version(rawValue: value)
            if content.minimumVersion == nil {
                spec.refuse("options", "\(name): expected 1.2 or 1.3, found \"\(value)\"")
            }
        }
    }
}
