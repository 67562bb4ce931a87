import MeshModel

@testable import Discovery

/// A model of an API server for simulations: objects with versions, a log, a memory that ends, pages
/// of one version. It answers requests with the bytes of a body.
struct ClusterModel {
    /// What a request is answered with.
    enum Answer {
        case body([UInt8])
        case status(Int)
    }

    private struct Event {
        var kind: ObjectKind
        var version: Int
        var type: String
        var json: String
    }

    /// The objects, whole JSON texts.
    private(set) var objects: [ObjectKind: [String: (version: Int, json: String)]] = [:]
    private var log: [Event] = []
    private var pages: [String: (items: [String], version: Int)] = [:]
    private(set) var version = 1
    private var oldest = 1
    private var pageCount = 0

    /// Sets an object, or deletes it.
    mutating func change(_ kind: ObjectKind, _ name: String, _ members: String?) {
        guard let members else {
            guard let old = objects[kind]?.removeValue(forKey: name) else { return }
            version += 1
            let json = ClusterModel.versioned(old.json, version)
            log.append(Event(kind: kind, version: version, type: "DELETED", json: json))
            return
        }
        version += 1
        let json = ClusterModel.versioned(members, version)
        let isNew = objects[kind, default: [:]].updateValue((version, json), forKey: name) == nil
        let type = isNew ? "ADDED" : "MODIFIED"
        log.append(Event(kind: kind, version: version, type: type, json: json))
    }

    /// Forgets history and pages.
    mutating func compact() {
        oldest = version
        log = []
        pages = [:]
    }

    /// Answers a list's page.
    mutating func list(_ kind: ObjectKind, _ token: String, limit: Int) -> Answer {
        let kept = pages.removeValue(forKey: token)
        guard token.isEmpty || kept != nil else { return .status(410) }
        let all =
            kept?.items
            ?? (objects[kind] ?? [:]).sorted { $0.key < $1.key }.map(\.value.json)
        let listVersion = kept?.version ?? version
        let page = limit == 0 ? all[...] : all.prefix(2)
        var next = ""
        if page.count < all.count {
            pageCount += 1
            next = "p\(pageCount)"
            pages[next] = (Array(all.dropFirst(page.count)), listVersion)
        }
        let text =
            "{\"metadata\":{\"resourceVersion\":\"\(listVersion)\",\"continue\":\"\(next)\"},"
            + "\"items\":[\(page.joined(separator: ","))]}"
        return .body(Array(text.utf8))
    }

    /// Answers a watch with what has happened since, and sometimes a bookmark.
    func watch(_ kind: ObjectKind, from text: String, bookmark: Bool) -> Answer {
        guard let from = Int(text), from >= oldest else {
            let gone = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n"
            return .body(Array(gone.utf8))
        }
        var lines = log.filter { $0.kind == kind && $0.version > from }
            .map { "{\"type\":\"\($0.type)\",\"object\":\($0.json)}\n" }
        if bookmark {
            let object = "{\"metadata\":{\"resourceVersion\":\"\(version)\"}}"
            lines.append("{\"type\":\"BOOKMARK\",\"object\":\(object)}\n")
        }
        return .body(Array(lines.joined().utf8))
    }

    /// Puts the version where the text has a mark for it.
    private static func versioned(_ json: String, _ version: Int) -> String {
        let marker = "\"resourceVersion\":\""
        guard let range = json.firstRange(of: marker) else { return json }
        let head = json[..<range.upperBound]
        let tail = json[range.upperBound...].drop { $0 != "\"" }
        return "\(head)\(version)\(tail)"
    }
}

/// Objects in several versions, valid and not, by kind and name.
enum ClusterModelObjects {
    static let kinds: [ObjectKind] = [
        .gatewayClass, .gateway, .service, .endpointSlice, .httpRoute, .namespace,
    ]

    /// The valid and invalid texts of one object.
    struct Variants {
        var kind: ObjectKind
        var name: String
        var valid: [String]
        var invalid: [String]
    }

    static let all: [Variants] = [
        Variants(
            kind: .gatewayClass,
            name: "martlet",
            valid: [
                text(
                    .gatewayClass,
                    "martlet",
                    "\"spec\":{\"controllerName\":\"martlet.mesh/node-agent\"}",
                    isClusterScoped: true
                )
            ],
            invalid: [text(.gatewayClass, "martlet", "\"spec\":{}", isClusterScoped: true)]
        ),
        Variants(
            kind: .gateway,
            name: "edge",
            valid: [gateway(8_080), gateway(8_081)],
            invalid: [gateway(0)]
        ),
        Variants(
            kind: .service,
            name: "cart",
            valid: [service("cart", "10.0.0.1"), service("cart", "10.0.0.2")],
            invalid: []
        ),
        Variants(
            kind: .service,
            name: "till",
            valid: [service("till", "10.0.0.3"), service("till", "10.0.0.4")],
            invalid: []
        ),
        Variants(
            kind: .endpointSlice,
            name: "cart-1",
            valid: [slice("cart-1", "10.1.0.1"), slice("cart-1", "10.1.0.2")],
            invalid: []
        ),
        Variants(
            kind: .endpointSlice,
            name: "cart-2",
            valid: [slice("cart-2", "10.1.0.3"), slice("cart-2", "10.1.0.1")],
            invalid: []
        ),
        Variants(
            kind: .httpRoute,
            name: "cart",
            valid: [route("cart", "a.example"), route("cart", "b.example")],
            invalid: [route("cart", "-"), route("cart", "a.example", more: ",\"x\":1")]
        ),
        Variants(
            kind: .httpRoute,
            name: "till",
            valid: [route("till", "a.example"), route("till", "c.example")],
            invalid: [route("till", "-")]
        ),
        Variants(
            kind: .httpRoute,
            name: "desk",
            valid: [route("desk", "d.example")],
            invalid: []
        ),
        Variants(
            kind: .namespace,
            name: "shop",
            valid: [text(.namespace, "shop", "\"spec\":{}", isClusterScoped: true)],
            invalid: []
        ),
    ]

    private static func text(
        _ kind: ObjectKind,
        _ name: String,
        _ members: String,
        isClusterScoped: Bool = false
    ) -> String {
        let version = APIResource.preferred(kind)?.apiVersion ?? "v1"
        let namespace = isClusterScoped ? "" : ",\"namespace\":\"shop\""
        let labels =
            kind == .endpointSlice ? ",\"labels\":{\"kubernetes.io/service-name\":\"cart\"}" : ""
        return "{\"apiVersion\":\"\(version)\",\"kind\":\"\(kind.rawValue)\",\"metadata\":{"
            + "\"name\":\"\(name)\"\(namespace)\(labels),\"resourceVersion\":\"\"},\(members)}"
    }

    private static func gateway(_ port: Int) -> String {
        text(
            .gateway,
            "edge",
            "\"spec\":{\"gatewayClassName\":\"martlet\",\"listeners\":[{\"name\":\"web\","
                + "\"port\":\(port),\"protocol\":\"HTTP\"}]}"
        )
    }

    private static func service(_ name: String, _ ip: String) -> String {
        text(
            .service,
            name,
            "\"spec\":{\"clusterIP\":\"\(ip)\",\"ports\":[{\"name\":\"http\",\"port\":80}]}"
        )
    }

    private static func slice(_ name: String, _ ip: String) -> String {
        text(
            .endpointSlice,
            name,
            "\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8000}],"
                + "\"endpoints\":[{\"addresses\":[\"\(ip)\"],\"conditions\":{\"ready\":true}}]"
        )
    }

    private static func route(_ name: String, _ host: String, more: String = "") -> String {
        text(
            .httpRoute,
            name,
            "\"spec\":{\"parentRefs\":[{\"name\":\"edge\"}],\"hostnames\":[\"\(host)\"],"
                + "\"rules\":[{\"backendRefs\":[{\"name\":\"cart\",\"port\":80}]}]\(more)}"
        )
    }
}
