import DataPlane
import LinuxSystem
import MeshModel
import Testing

/// Redirects and rewritten targets, as the Gateway API has them.
@Suite struct RouteChangeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var change: RouteChange
        var path: String
        var prefix = ""
        var origin = RouteOrigin()
        var goes: String

        var testDescription: String { "\(path) to \(goes)" }
    }

    static func redirect(
        _ goes: String,
        _ redirect: RouteRedirect,
        path: String = "/a?b=c",
        prefix: String = "",
        isTLS: Bool = false,
        port: UInt16 = 80
    ) -> Case {
        Case(
            change: .redirect(redirect),
            path: path,
            prefix: prefix,
            origin: RouteOrigin(isTLS: isTLS, port: port),
            goes: goes
        )
    }

    static func rewrite(_ path: String, _ prefix: String, _ change: PathChange, _ goes: String)
        -> Case
    {
        Case(change: .rewrite(RouteRewrite(path: change)), path: path, prefix: prefix, goes: goes)
    }

    static let redirects: [Case] = [
        redirect("http://h.example/a?b=c", RouteRedirect()),
        redirect("https://h.example/a?b=c", RouteRedirect(scheme: "https"), port: 8_080),
        redirect("https://h.example:8443/a?b=c", RouteRedirect(scheme: "https", port: 8_443)),
        redirect("https://h.example/a?b=c", RouteRedirect(scheme: "https", port: 443)),
        redirect("http://h.example:8080/a?b=c", RouteRedirect(), port: 8_080),
        redirect("http://h.example/a?b=c", RouteRedirect(port: 80), port: 8_080),
        redirect("https://h.example/a?b=c", RouteRedirect(), isTLS: true, port: 443),
        redirect("http://h.example/a?b=c", RouteRedirect(scheme: "http"), isTLS: true, port: 443),
        redirect("http://other.example/a?b=c", RouteRedirect(host: "other.example", status: 301)),
        redirect("http://h.example/x?b=c", RouteRedirect(path: .whole("/x"), status: 303)),
        redirect("http://h.example/?b=c", RouteRedirect(path: .whole(""), status: 307)),
        redirect(
            "http://h.example/new/y?b=c",
            RouteRedirect(path: .prefix("/new"), status: 308),
            path: "/old/y?b=c",
            prefix: "/old"
        ),
    ]

    @Test(arguments: redirects)
    func aRedirectNamesWhatItKeepsAndWhatItChanges(row: Case) throws {
        let rig = try rig(row)
        let client = rig.connect(sending: "GET \(row.path) HTTP/1.1\r\nhost: h.example:99\r\n\r\n")
        guard case .redirect(let redirect) = row.change else { return }
        #expect(rig.status(client) == "\(redirect.status)")
        #expect(rig.text(client).contains("location: \(row.goes)\r\n"), "\(rig.text(client))")
        #expect(rig.forwarded().isEmpty)
    }

    static let rewrites: [Case] = [
        rewrite("/prefix/one/two", "/prefix", .prefix("/"), "/one/two"),
        rewrite("/prefix", "/prefix", .prefix("/"), "/"),
        rewrite("/prefix/", "/prefix", .prefix("/"), "/"),
        rewrite("/prefix", "/prefix", .prefix(""), "/"),
        rewrite("/foo/bar", "/foo", .prefix("/xyz"), "/xyz/bar"),
        rewrite("/foo/bar", "/foo", .prefix("/xyz/"), "/xyz/bar"),
        rewrite("/foo", "/foo", .prefix("/xyz"), "/xyz"),
        rewrite("/foo", "/foo", .prefix("/xyz/"), "/xyz/"),
        rewrite("/foo/", "/foo", .prefix("/xyz"), "/xyz/"),
        rewrite("/foo?a=/foo", "/foo", .prefix("/xyz"), "/xyz?a=/foo"),
        rewrite("/foo/bar", "", .prefix("/xyz"), "/xyz/foo/bar"),
        rewrite("/full/one?q", "/full", .whole("/one"), "/one?q"),
        rewrite("/full/one?q", "/full", .whole(""), "/?q"),
    ]

    @Test(arguments: rewrites, [false, true])
    func theEndpointGetsTheRewrittenPath(row: Case, byBackend: Bool) throws {
        let file = "/tmp/martlet-changes-\(UInt64.random(in: 0...UInt64.max))"
        let writer = try LogWriter(path: file, workerCount: 1)
        defer { _ = try? FileSystem.remove(file) }
        let rig = try rig(row, byBackend: byBackend, log: writer.rings[0])
        let client = rig.connect(sending: "GET \(row.path) HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.forwarded().hasPrefix("GET \(row.goes) HTTP/1.1\r\n"), "\(rig.forwarded())")
        rig.answer()
        #expect(rig.status(client) == "200")
        rig.pass(seconds: 2)
        writer.stop()
        let line = String(decoding: try FileSystem.read(file, byteLimit: 65_536), as: UTF8.self)
        #expect(line.contains("\"path\":\"\(row.path)\""), "the log shows what was asked: \(line)")
    }

    @Test func theEndpointGetsTheRewrittenHostAndTheRestAsItWas() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) {
            $0.change = .rewrite(RouteRewrite(host: "inner.example"))
            $0.requestHeaders.set = [NamedValue("x-set", "1")]
        }
        let client = rig.connect(
            sending: "POST /p HTTP/1.1\r\nhost: h.example\r\ncontent-length: 2\r\n\r\nhi"
        )
        let sent = rig.forwarded()
        #expect(sent.hasPrefix("POST /p HTTP/1.1\r\nhost: inner.example\r\n"))
        #expect(sent.contains("x-set: 1\r\n") && sent.hasSuffix("\r\n\r\nhi"))
        #expect(!sent.contains("h.example\r\nx") && !sent.contains("host: h.example"))
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test func aBackendsChangeIsInPlaceOfItsRules() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) {
            $0.change = .rewrite(RouteRewrite(path: .whole("/rule")))
            $0.backends[0].change = .redirect(RouteRedirect(path: .whole("/backend")))
        }
        let client = rig.connect(sending: "GET / HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.text(client).contains("location: http://h.example/backend\r\n"))
    }

    @Test func aRedirectWithoutBackendsIsAnswered() throws {
        let rig = try EngineRig()
        rig.install(clusters: []) { $0.change = .redirect(RouteRedirect(scheme: "https")) }
        let client = rig.connect(sending: "GET /x HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.status(client) == "302")
    }

    private func rig(_ row: Case, byBackend: Bool = false, log: LogRing? = nil) throws -> EngineRig
    {
        let rig = try EngineRig(log: log)
        rig.install(clusters: [[0]], match: HTTPMatch(path: .prefix(row.prefix))) {
            $0.origin = row.origin
            if byBackend {
                $0.backends[0].change = row.change
            } else {
                $0.change = row.change
            }
        }
        return rig
    }
}
