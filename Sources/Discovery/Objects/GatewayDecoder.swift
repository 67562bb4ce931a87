import Addressing
import MeshModel

/// Kinds of the Gateway API, read strictly.
enum GatewayDecoder {
    static func content(_ kind: ObjectKind, _ spec: inout FieldReader) -> KubernetesObject.Content?
    {
        defer { spec.refuseUnknown() }
        switch kind {
        case .gatewayClass:
            spec.ignore("description")
            if spec.has("parametersRef") {
                spec.refuse("parametersRef", "expected none: the class takes no parameters")
            }
            return .gatewayClass(controllerName: spec.requiredString("controllerName"))
        case .gateway: return .gateway(gateway(&spec))
        case .httpRoute: return .httpRoute(RouteDecoder.httpRoute(&spec))
        case .grpcRoute: return .grpcRoute(GRPCRouteDecoder.route(&spec))
        case .tcpRoute: return .tcpRoute(RouteDecoder.tcpRoute(&spec))
        case .referenceGrant: return .referenceGrant(grant(&spec))
        case .namespace, .node, .service, .endpointSlice, .endpoints, .pod, .secret, .configMap,
            .filterPolicy, .consumer, .sourcePolicy, .listenerPolicy, .backendPolicy,
            .backendTLSPolicy:
            return nil
        }
    }

    private static func gateway(_ spec: inout FieldReader) -> GatewayContent {
        var content = GatewayContent()
        content.className = spec.requiredString("gatewayClassName")
        for feature in ["backendTLS", "allowedListeners"] where spec.has(feature) {
            spec.refuse(feature, "this feature of the Gateway API is not part of this version")
        }
        if spec.has("tls") { GatewayTLSDecoder.read(&spec, into: &content) }
        if spec.has("infrastructure") {
            spec.refuse("infrastructure", "is for a Service, which no controller makes")
        }
        for address in spec.readers("addresses") {
            var address = address
            let type = address.string("type") ?? "IPAddress"
            let value = address.string("value") ?? ""
            guard type == "IPAddress", let ip = IPAddress(value) else {
                address.refuse("value", "expected an IP address, found \(type) \"\(value)\"")
                continue
            }
            address.refuseUnknown()
            content.addresses.append(ip)
        }
        content.listeners = spec.readers("listeners").map { listener in
            var listener = listener
            return Self.listener(&listener)
        }
        if content.listeners.isEmpty { spec.refuse("listeners", "expected at least one listener") }
        return content
    }

    private static func listener(_ reader: inout FieldReader) -> GatewayContent.Listener {
        defer { reader.refuseUnknown() }
        let protocolName = reader.requiredString("protocol")
        let certificates = tls(&reader)
        let (namespaces, kinds) = allowedRoutes(&reader)
        let hostname = reader.string("hostname") ?? ""
        if !hostname.isEmpty && !HostName.isValid(hostname) {
            reader.refuse("hostname", "expected a DNS name, found \"\(hostname)\"")
        }
        return GatewayContent.Listener(
            name: reader.requiredString("name"),
            port: UInt16(reader.integer("port", 1...65_535) ?? 0),
            listenerProtocol: ListenerProtocol(rawValue: protocolName),
            protocolName: protocolName,
            hostname: hostname.lowercased(),
            certificates: certificates,
            allowedNamespaces: namespaces,
            allowedKinds: kinds
        )
    }

    private static func tls(_ reader: inout FieldReader) -> [ObjectReference] {
        guard reader.has("tls") else { return [] }
        var tls = reader.reader("tls")
        defer { tls.refuseUnknown() }
        let mode = tls.string("mode") ?? "Terminate"
        if mode != "Terminate" {
            tls.refuse("mode", "expected Terminate, found \"\(mode)\"")
        }
        for feature in ["frontendValidation", "options"] where tls.has(feature) {
            tls.refuse(feature, "this feature of the Gateway API is not part of this version")
        }
        return tls.readers("certificateRefs").map { reference in
            var reference = reference
            defer { reference.refuseUnknown() }
            return Self.reference(&reference, defaultKind: "Secret")
        }
    }

    private static func allowedRoutes(
        _ reader: inout FieldReader
    ) -> (GatewayContent.AllowedNamespaces, [String]) {
        guard reader.has("allowedRoutes") else { return (.same, []) }
        var allowed = reader.reader("allowedRoutes")
        defer { allowed.refuseUnknown() }
        let kinds = allowed.readers("kinds").map { kind in
            var kind = kind
            kind.ignore("group")
            return kind.requiredString("kind")
        }
        guard allowed.has("namespaces") else { return (.same, kinds) }
        var namespaces = allowed.reader("namespaces")
        defer { namespaces.refuseUnknown() }
        switch namespaces.string("from") ?? "Same" {
        case "All": return (.all, kinds)
        case "Same": return (.same, kinds)
        case "Selector":
            var selector = namespaces.reader("selector")
            if selector.has("matchExpressions") {
                selector.refuse("matchExpressions", "expected matchLabels only")
            }
            return (.selector(selector.stringMap("matchLabels")), kinds)
        case let other:
            namespaces.refuse("from", "expected All, Same or Selector, found \"\(other)\"")
            return (.same, kinds)
        }
    }

    /// Keys that some references have besides group, kind, name and namespace.
    enum ReferencePart {
        case port
        case sectionName
    }

    /// Reads a reference; any other key is the caller's.
    static func reference(
        _ reader: inout FieldReader,
        defaultKind: String,
        defaultGroup: String = "",
        with parts: Set<ReferencePart> = []
    ) -> ObjectReference {
        ObjectReference(
            group: reader.string("group") ?? defaultGroup,
            kind: reader.string("kind") ?? defaultKind,
            name: reader.requiredString("name"),
            namespace: reader.string("namespace"),
            port: parts.contains(.port)
                ? reader.integer("port", 1...65_535).map { UInt16($0) } : nil,
            sectionName: parts.contains(.sectionName) ? reader.string("sectionName") : nil
        )
    }

    private static func grant(_ spec: inout FieldReader) -> ReferenceGrantContent {
        var content = ReferenceGrantContent()
        content.from = spec.readers("from").map { from in
            var from = from
            defer { from.refuseUnknown() }
            return .init(
                group: from.string("group") ?? "",
                kind: from.requiredString("kind"),
                namespace: from.requiredString("namespace")
            )
        }
        content.to = spec.readers("to").map { to in
            var to = to
            defer { to.refuseUnknown() }
            return .init(
                group: to.string("group") ?? "",
                kind: to.requiredString("kind"),
                name: to.string("name")
            )
        }
        return content
    }
}

/// DNS names as listeners and routes write them.
enum HostName {
    /// A name of labels, the first of which may be `*`.
    static func isValid(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 253, IPAddress(text) == nil else { return false }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        for (index, label) in labels.enumerated() {
            if index == 0 && label == "*" && labels.count > 1 { continue }
            guard (1...63).contains(label.utf8.count), label.first != "-", label.last != "-",
                label.utf8.allSatisfy({
                    switch $0 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                })
            else { return false }
        }
        return true
    }
}
