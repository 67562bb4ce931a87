import MeshModel
import Telemetry

/// What rules do to requests' targets and to cross-origin requests, as `/config` shows it.
enum RouteChangeDocument {
    static func write(_ change: RouteChange?, _ json: inout JSONWriter) {
        switch change {
        case nil: return
        case .redirect(let redirect):
            json.object("redirect") { json in
                json.integer("status", UInt64(redirect.status))
                json.string("scheme", redirect.scheme)
                json.string("host", redirect.host)
                if let port = redirect.port { json.integer("port", UInt64(port)) }
                write(redirect.path, &json)
            }
        case .rewrite(let rewrite):
            json.object("rewrite") { json in
                json.string("host", rewrite.host)
                write(rewrite.path, &json)
            }
        }
    }

    private static func write(_ path: PathChange?, _ json: inout JSONWriter) {
        switch path {
        case nil: return
        case .whole(let text): json.string("fullPath", text)
        case .prefix(let text): json.string("prefix", text)
        }
    }

    static func write(_ policy: CrossOriginPolicy?, _ json: inout JSONWriter) {
        guard let policy else { return }
        json.object("crossOrigin") { json in
            json.strings("origins", policy.origins)
            json.bool("credentials", policy.allowsCredentials)
            json.strings("methods", policy.methods)
            json.strings("headers", policy.headers)
            json.strings("exposedHeaders", policy.exposedHeaders)
            json.integer("maxAgeSeconds", UInt64(policy.maxAgeSeconds))
        }
    }
}
