/// A header field name the engine knows. The first ones, up to `x-request-id`, decide how a message
/// is framed, routed and passed on.
package enum HeaderID: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// Any other name; its text is in the buffer.
    case other
    /// `host`.
    case host
    /// `content-length`.
    case contentLength
    /// `transfer-encoding`.
    case transferEncoding
    /// `connection`.
    case connection
    /// `upgrade`.
    case upgrade
    /// `expect`.
    case expect
    /// `keep-alive`.
    case keepAlive
    /// `te`.
    case te
    /// `trailer`.
    case trailer
    /// `proxy-connection`.
    case proxyConnection
    /// `proxy-authorization`.
    case proxyAuthorization
    /// `proxy-authenticate`.
    case proxyAuthenticate
    /// `http2-settings`.
    case http2Settings
    /// `x-forwarded-for`.
    case xForwardedFor
    /// `x-forwarded-proto`.
    case xForwardedProto
    /// `x-forwarded-host`.
    case xForwardedHost
    /// `x-forwarded-port`.
    case xForwardedPort
    /// `x-real-ip`.
    case xRealIP
    /// `forwarded`.
    case forwarded
    /// `x-forwarded-client-cert`.
    case xForwardedClientCert
    /// `x-request-id`.
    case xRequestID
    /// `user-agent`.
    case userAgent
    /// `accept`.
    case accept
    /// `accept-encoding`.
    case acceptEncoding
    /// `accept-language`.
    case acceptLanguage
    /// `accept-ranges`.
    case acceptRanges
    /// `content-type`.
    case contentType
    /// `content-encoding`.
    case contentEncoding
    /// `content-range`.
    case contentRange
    /// `date`.
    case date
    /// `server`.
    case server
    /// `authorization`.
    case authorization
    /// `www-authenticate`.
    case wwwAuthenticate
    /// `cookie`.
    case cookie
    /// `set-cookie`.
    case setCookie
    /// `via`.
    case via
    /// `location`.
    case location
    /// `referer`.
    case referer
    /// `origin`.
    case origin
    /// `cache-control`.
    case cacheControl
    /// `pragma`.
    case pragma
    /// `etag`.
    case etag
    /// `last-modified`.
    case lastModified
    /// `if-none-match`.
    case ifNoneMatch
    /// `if-modified-since`.
    case ifModifiedSince
    /// `vary`.
    case vary
    /// `range`.
    case range
    /// `age`.
    case age
    /// `expires`.
    case expires
    /// `retry-after`.
    case retryAfter
    /// `allow`.
    case allow
    /// `link`.
    case link
    /// `traceparent`.
    case traceparent
    /// `tracestate`.
    case tracestate
    /// `sec-fetch-mode`.
    case secFetchMode
    /// `sec-fetch-site`.
    case secFetchSite
    /// `sec-fetch-dest`.
    case secFetchDest
    /// `dnt`.
    case dnt
    /// `upgrade-insecure-requests`.
    case upgradeInsecureRequests
    /// `priority`.
    case priority
    /// `sec-fetch-user`.
    case secFetchUser
    /// `sec-ch-ua`.
    case secCHUA
    /// `sec-ch-ua-mobile`.
    case secCHUAMobile
    /// `sec-ch-ua-platform`.
    case secCHUAPlatform
    /// `x-requested-with`.
    case xRequestedWith
    /// `content-disposition`.
    case contentDisposition
    /// `content-language`.
    case contentLanguage
    /// `content-security-policy`.
    case contentSecurityPolicy
    /// `strict-transport-security`.
    case strictTransportSecurity
    /// `x-content-type-options`.
    case xContentTypeOptions
    /// `x-frame-options`.
    case xFrameOptions
    /// `alt-svc`.
    case altSvc
    /// `access-control-allow-origin`.
    case accessControlAllowOrigin

    /// Whether the head parser must look at more than the name: it is unknown, frames the message,
    /// is meant for one hop, or its presence is asked for. These come first.
    @inline(__always)
    var isNoted: Bool { rawValue <= HeaderID.xRequestID.rawValue }

    /// The names for one hop only, as a set.
    @inline(__always)
    static var hopByHop: HeaderMask {
        HeaderMask(.transferEncoding) | HeaderMask(.connection) | HeaderMask(.upgrade)
            | HeaderMask(.keepAlive) | HeaderMask(.te) | HeaderMask(.proxyConnection)
            | HeaderMask(.proxyAuthorization) | HeaderMask(.proxyAuthenticate)
            | HeaderMask(.http2Settings)
    }

    /// Whether the field is for one hop only by its name alone (RFC 9110 section 7.6.1).
    @inline(__always)
    package var isHopByHop: Bool { HeaderID.hopByHop.contains(self) }

    /// The name in lower case; empty for `other`.
    package var name: StaticString {
        switch self {
        case .other: ""
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .connection: "connection"
        case .upgrade: "upgrade"
        case .expect: "expect"
        case .keepAlive: "keep-alive"
        case .te: "te"
        case .trailer: "trailer"
        case .proxyConnection: "proxy-connection"
        case .proxyAuthorization: "proxy-authorization"
        case .proxyAuthenticate: "proxy-authenticate"
        case .http2Settings: "http2-settings"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedProto: "x-forwarded-proto"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedPort: "x-forwarded-port"
        case .xRealIP: "x-real-ip"
        case .xForwardedClientCert: "x-forwarded-client-cert"
        case .xRequestID: "x-request-id"
        case .userAgent: "user-agent"
        case .accept: "accept"
        case .acceptEncoding: "accept-encoding"
        case .acceptLanguage: "accept-language"
        case .acceptRanges: "accept-ranges"
        case .contentType: "content-type"
        case .contentEncoding: "content-encoding"
        case .contentRange: "content-range"
        case .date: "date"
        case .server: "server"
        case .authorization: "authorization"
        case .wwwAuthenticate: "www-authenticate"
        case .cookie: "cookie"
        case .setCookie: "set-cookie"
        case .via: "via"
        case .forwarded: "forwarded"
        case .location: "location"
        case .referer: "referer"
        case .origin: "origin"
        case .cacheControl: "cache-control"
        case .pragma: "pragma"
        case .etag: "etag"
        case .lastModified: "last-modified"
        case .ifNoneMatch: "if-none-match"
        case .ifModifiedSince: "if-modified-since"
        case .vary: "vary"
        case .range: "range"
        case .age: "age"
        case .expires: "expires"
        case .retryAfter: "retry-after"
        case .allow: "allow"
        case .link: "link"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .secFetchMode: "sec-fetch-mode"
        case .secFetchSite: "sec-fetch-site"
        case .secFetchDest: "sec-fetch-dest"
        case .dnt: "dnt"
        case .upgradeInsecureRequests: "upgrade-insecure-requests"
        case .priority: "priority"
        case .secFetchUser: "sec-fetch-user"
        case .secCHUA: "sec-ch-ua"
        case .secCHUAMobile: "sec-ch-ua-mobile"
        case .secCHUAPlatform: "sec-ch-ua-platform"
        case .xRequestedWith: "x-requested-with"
        case .contentDisposition: "content-disposition"
        case .contentLanguage: "content-language"
        case .contentSecurityPolicy: "content-security-policy"
        case .strictTransportSecurity: "strict-transport-security"
        case .xContentTypeOptions: "x-content-type-options"
        case .xFrameOptions: "x-frame-options"
        case .altSvc: "alt-svc"
        case .accessControlAllowOrigin: "access-control-allow-origin"
        }
    }
}
