import MeshModel

/// Sessions of an HTTPRoute's rules (GEP-1619).
enum RouteSessionDecoder {
    private enum Kind { case cookie, header }
    private enum Lifetime { case session, permanent }

    /// The longest name that the Gateway API allows.
    private static let nameByteLimit = 128

    /// Reads `sessionPersistence` of a rule. A session without a name has an empty one.
    static func persistence(
        _ rule: inout FieldReader,
        _ matches: [HTTPMatch]
    ) -> SessionAffinity? {
        guard rule.has("sessionPersistence") else { return nil }
        var reader = rule.reader("sessionPersistence")
        defer { reader.refuseUnknown() }
        let kinds: [(String, Kind)] = [("Cookie", .cookie), ("Header", .header)]
        let kind = reader.choice("type", among: kinds) ?? .cookie
        var name = reader.string("sessionName") ?? ""
        if !name.isEmpty && !RouteDecoder.isToken(name.lowercased())
            || name.utf8.count > nameByteLimit
        {
            reader.refuse("sessionName", "expected a name of a cookie or header, found \"\(name)\"")
        }
        let absolute = reader.duration("absoluteTimeout")
        let idle = reader.duration("idleTimeout")
        let lifetime = lifetime(&reader, kind, hasEnd: reader.has("absoluteTimeout"))
        switch kind {
        case .header:
            name = name.lowercased()
            if reserved.contains(name) {
                reader.refuse("sessionName", "expected a header of its own, found \"\(name)\"")
            }
            return SessionAffinity(.header(name), absoluteTimeout: absolute, idleTimeout: idle)
        case .cookie:
            let kind = SessionAffinity.Kind.cookie(
                name: name,
                path: path(of: matches),
                lifetime: lifetime == .permanent ? absolute : nil
            )
            return SessionAffinity(kind, absoluteTimeout: absolute, idleTimeout: idle)
        }
    }

    /// Fields that are the message's own.
    private static let reserved: Set<String> = [
        "authorization", "connection", "content-length", "content-type", "cookie", "date", "host",
        "keep-alive", "location", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
        "via",
    ]

    private static func lifetime(
        _ reader: inout FieldReader,
        _ kind: Kind,
        hasEnd: Bool
    ) -> Lifetime {
        guard reader.has("cookieConfig") else { return .session }
        if kind == .header { reader.refuse("cookieConfig", "is for a cookie") }
        var config = reader.reader("cookieConfig")
        defer { config.refuseUnknown() }
        let kinds: [(String, Lifetime)] = [("Session", .session), ("Permanent", .permanent)]
        let lifetime = config.choice("lifetimeType", among: kinds) ?? .session
        if lifetime == .permanent && !hasEnd {
            reader.refuse("absoluteTimeout", "expected a time: the cookie's lifetime is Permanent")
        }
        return lifetime
    }

    /// Where a cookie is sent: the path of all of a rule's matches, if it is one.
    private static func path(of matches: [HTTPMatch]) -> String {
        let paths = Set(matches.map(\.path))
        guard paths.count == 1, let path = paths.first else { return "/" }
        let text: String
        switch path {
        case .exact(let exact): text = exact
        case .prefix(let prefix): text = prefix
        case .pattern: text = ""
        }
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3b && $0 != 0x2c }
        return text.isEmpty || !isPlain ? "/" : text
    }
}
