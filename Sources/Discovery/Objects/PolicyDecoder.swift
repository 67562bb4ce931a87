import Addressing
import MeshModel

/// Kinds of HTNN and of Martlet, read strictly.
enum PolicyDecoder {
    static func content(_ key: ObjectKey, _ spec: inout FieldReader) -> KubernetesObject.Content? {
        defer { spec.refuseUnknown() }
        switch key.kind {
        case .filterPolicy: return .filterPolicy(filterPolicy(key, &spec))
        case .consumer: return .consumer(consumer(key, &spec))
        case .sourcePolicy: return .sourcePolicy(sourcePolicy(key, &spec))
        case .namespace, .node, .service, .endpointSlice, .endpoints, .pod, .secret, .configMap,
            .gateway, .gatewayClass, .httpRoute, .grpcRoute, .tcpRoute, .referenceGrant,
            .listenerPolicy,
            .backendPolicy, .backendTLSPolicy:
            return nil
        }
    }

    private static func filterPolicy(
        _ key: ObjectKey,
        _ spec: inout FieldReader
    ) -> FilterPolicyContent {
        var content = FilterPolicyContent()
        if spec.has("targetRef") {
            var target = spec.reader("targetRef")
            content.target = GatewayDecoder.reference(
                &target,
                defaultKind: "",
                with: [.sectionName]
            )
            target.refuseUnknown()
        } else {
            spec.refuse("targetRef", "expected a target, found nothing")
        }
        content.filters = bindings(key, &spec, "filters")
        if spec.has("subPolicies") {
            spec.refuse("subPolicies", "expected none: they are for VirtualService targets")
        }
        if let target = content.target { check(target, key, spec) }
        return content
    }

    private static func check(_ target: ObjectReference, _ key: ObjectKey, _ spec: FieldReader) {
        let isGatewayAPI = target.group == "gateway.networking.k8s.io"
        let isRoute = target.kind == "HTTPRoute" || target.kind == "GRPCRoute"
        guard isGatewayAPI, isRoute || target.kind == "Gateway" else {
            spec.refuse(
                "targetRef",
                "expected a gateway.networking.k8s.io HTTPRoute, GRPCRoute or Gateway, found \(target.group)"
                    + " \(target.kind)"
            )
            return
        }
        if let namespace = target.namespace, namespace != key.namespace {
            spec.refuse("targetRef", "expected a target of namespace \"\(key.namespace)\"")
        }
        if isRoute && target.sectionName != nil {
            spec.refuse("targetRef", "expected no sectionName for a route")
        }
    }

    private static func bindings(
        _ key: ObjectKey,
        _ reader: inout FieldReader,
        _ field: String
    ) -> [PluginBinding] {
        guard let node = reader.node(field) else { return [] }
        guard case .mapping(let entries, _) = node else {
            reader.refuse(field, "expected a mapping of plugin names, found \(node.kindName)")
            return []
        }
        return entries.map { entry in
            var plugin = FieldReader(
                entry.value,
                path: "\(reader.name(field)).\(entry.key)",
                reader.faults
            )
            let configuration = plugin.node("config")?.json ?? .object([])
            plugin.refuseUnknown()
            return PluginBinding(name: entry.key, configuration: configuration, policy: key)
        }
    }

    private static func consumer(_ key: ObjectKey, _ spec: inout FieldReader) -> ConsumerContent {
        var content = ConsumerContent()
        content.name = spec.string("name") ?? key.name
        content.auth = bindings(key, &spec, "auth")
        content.filters = bindings(key, &spec, "filters")
        if content.auth.isEmpty { spec.refuse("auth", "expected at least one credential") }
        return content
    }

    private static func sourcePolicy(_ key: ObjectKey, _ spec: inout FieldReader) -> SourcePolicy {
        var policy = SourcePolicy(key: key)
        policy.allow = prefixes(&spec, "allow")
        policy.trustedSources = prefixes(&spec, "trustedSources")
        policy.deny = spec.readers("deny").compactMap { deny in
            var deny = deny
            defer { deny.refuseUnknown() }
            let text = deny.requiredString("source")
            var ttl: Duration?
            if let written = deny.string("ttl") {
                ttl = GatewayDuration.parse(written)
                if ttl == nil {
                    deny.refuse("ttl", "expected a duration such as 30s, found \"\(written)\"")
                }
            }
            guard let source = prefix(text, "source", deny) else { return nil }
            if source.length == 0 {
                deny.refuse("source", "expected less than every address, found \"\(text)\"")
            }
            return SourcePolicy.Deny(source: source, ttl: ttl)
        }
        policy.packetsPerSecond = rate(&spec, "packetsPerSecond")
        policy.synPerSecond = rate(&spec, "synPerSecond")
        policy.dryRun = spec.bool("dryRun") ?? false
        if let limit = rate(&spec, "pluginBlocksPerMinute") { policy.pluginBlocksPerMinute = limit }
        return policy
    }

    private static func rate(_ reader: inout FieldReader, _ key: String) -> UInt32? {
        reader.integer(key, 1...Int64(UInt32.max)).map { UInt32($0) }
    }

    private static func prefixes(_ reader: inout FieldReader, _ key: String) -> [IPPrefix] {
        let texts = reader.strings(key)
        return texts.compactMap { prefix($0, key, reader) }
    }

    private static func prefix(_ text: String, _ key: String, _ reader: FieldReader) -> IPPrefix? {
        if let prefix = IPPrefix(text) { return prefix }
        if !text.isEmpty {
            reader.refuse(
                key,
                "expected an address or prefix such as 192.0.2.0/24, found \"\(text)\""
            )
        }
        return nil
    }
}
