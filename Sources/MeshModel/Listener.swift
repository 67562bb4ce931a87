import Addressing

/// Names one listener of one Gateway. Stable across snapshots.
package struct ListenerID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The Gateway's namespace.
    package let namespace: String
    /// The Gateway's name.
    package let gateway: String
    /// The listener's (section) name.
    package let name: String

    /// Makes an identifier of its parts.
    package init(namespace: String, gateway: String, name: String) {
        self.namespace = namespace
        self.gateway = gateway
        self.name = name
    }

    /// The Gateway object.
    package var gatewayKey: ObjectKey { ObjectKey(.gateway, namespace: namespace, name: gateway) }

    /// `namespace/gateway/listener`.
    package var description: String { "\(namespace)/\(gateway)/\(name)" }

    /// Orders by namespace, gateway, name.
    package static func < (left: ListenerID, right: ListenerID) -> Bool {
        (left.namespace, left.gateway, left.name) < (right.namespace, right.gateway, right.name)
    }
}

/// What a listener speaks.
package enum ListenerProtocol: String, Hashable, Sendable {
    case http = "HTTP"
    /// HTTP over TLS that is terminated here.
    case https = "HTTPS"
    case tcp = "TCP"
}

/// A host name as Gateway API writes it: exact, or `*.suffix`. Always lower case.
package enum HostPattern: Hashable, Sendable, CustomStringConvertible {
    /// Every host.
    case any
    case exact(String)
    /// `*.suffix`, held without `*.`; matches one or more labels before the suffix.
    case wildcard(suffix: String)

    /// Reads `host`, `*.suffix`, or empty text for any host. Case is folded.
    package init(_ text: String) {
        let lowered = text.lowercased()
        if lowered.isEmpty {
            self = .any
        } else if lowered.hasPrefix("*.") {
            self = .wildcard(suffix: String(lowered.dropFirst(2)))
        } else {
            self = .exact(lowered)
        }
    }

    /// As Gateway API writes it; `*` for any host.
    package var description: String {
        switch self {
        case .any: "*"
        case .exact(let host): host
        case .wildcard(let suffix): "*.\(suffix)"
        }
    }
}

extension HostPattern {
    /// Whether every host that another pattern matches is matched by this one.
    package func covers(_ other: HostPattern) -> Bool {
        switch (self, other) {
        case (.any, _): true
        case (_, .any): false
        case (.exact(let own), .exact(let name)): own == name
        case (.exact, .wildcard): false
        case (.wildcard(let suffix), .exact(let name)): name.hasSuffix(".\(suffix)")
        case (.wildcard(let suffix), .wildcard(let inner)):
            inner == suffix || inner.hasSuffix(".\(suffix)")
        }
    }

    /// Orders patterns that match a host, the most specific first: exact ones, then wildcards with
    /// the longest suffix, then any host.
    package static func isMoreSpecific(_ left: HostPattern, _ right: HostPattern) -> Bool {
        left.specificity > right.specificity
    }

    private var specificity: Int {
        switch self {
        case .any: 0
        case .wildcard(let suffix): 1 + suffix.utf8.count
        case .exact: Int.max
        }
    }
}

/// A listener of a Gateway of ours, with the routes attached to it.
package struct Listener: Equatable, Sendable {
    /// A route on this listener, and the host names it answers there.
    package struct Attachment: Equatable, Sendable {
        /// The HTTPRoute or TCPRoute.
        package var route: ObjectKey
        /// The intersection of the route's and the listener's host names; never empty.
        package var hosts: [HostPattern]

        /// Makes an attachment.
        package init(route: ObjectKey, hosts: [HostPattern]) {
            self.route = route
            self.hosts = hosts
        }
    }

    /// The stable name.
    package let id: ListenerID
    /// Addresses to listen on; empty means every address of the node.
    package var addresses: [IPAddress]
    /// The port.
    package var port: UInt16
    /// What it speaks.
    package var listenerProtocol: ListenerProtocol
    /// Its own host name.
    package var host: HostPattern
    /// Secrets with the certificates, the first being the default.
    package var certificates: [ObjectKey]
    /// The Secret with what its Gateway shows to endpoints that speak TLS (GEP-3155), if any.
    package var endpointCertificate: ObjectKey?
    /// Attached routes, sorted by key.
    package var attachments: [Attachment]
    /// Gateway-level plugins: those of the Gateway, overridden by name by those of the listener.
    package var plugins: [PluginBinding]
    /// What its policies set.
    package var settings: ListenerSettings

    /// Makes a listener.
    package init(
        id: ListenerID,
        addresses: [IPAddress] = [],
        port: UInt16,
        listenerProtocol: ListenerProtocol,
        host: HostPattern = .any,
        certificates: [ObjectKey] = [],
        endpointCertificate: ObjectKey? = nil,
        attachments: [Attachment] = [],
        plugins: [PluginBinding] = [],
        settings: ListenerSettings = ListenerSettings()
    ) {
        self.id = id
        self.addresses = addresses
        self.port = port
        self.listenerProtocol = listenerProtocol
        self.host = host
        self.certificates = certificates
        self.endpointCertificate = endpointCertificate
        self.attachments = attachments
        self.plugins = plugins
        self.settings = settings
    }
}

/// A TLS certificate from a Secret, still as PEM. Its text is never shown.
package struct Certificate: Hashable, Sendable {
    /// The Secret.
    package let key: ObjectKey
    /// `tls.crt`: leaf first, then the chain.
    package var chainPEM: [UInt8]
    /// `tls.key`.
    package var keyPEM: [UInt8]

    /// Makes a certificate.
    package init(key: ObjectKey, chainPEM: [UInt8], keyPEM: [UInt8]) {
        self.key = key
        self.chainPEM = chainPEM
        self.keyPEM = keyPEM
    }
}
