import DataPlane
import MeshModel
import Testing

/// One form of path and host: what is routed by is what the endpoint gets.
@Suite struct PathFormTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var came: String
        /// What the endpoint gets; `nil` for 400.
        var goes: String?
        var slashes = PathForm.Escapes.keep
        var merges = false

        var testDescription: String { "\(came), \(slashes)\(merges ? ", merging" : "")" }
    }

    static let cases: [Case] = [
        Case(came: "/a/b.html?x=%2f..%2f#".replacing("#", with: ""), goes: "/a/b.html?x=%2f..%2f"),
        Case(came: "/", goes: "/"),
        Case(came: "/...", goes: "/..."),
        Case(came: "/a..b/.c", goes: "/a..b/.c"),
        // Dot segments, in every disguise.
        Case(came: "/..", goes: nil), Case(came: "/a/./b", goes: nil),
        Case(came: "/a/../b", goes: nil), Case(came: "/a/..?x", goes: nil),
        Case(came: "/a/%2e%2e/b", goes: nil), Case(came: "/a/.%2E/b", goes: nil),
        Case(came: "/a/..;/b", goes: nil), Case(came: "/a/.;x=1/b", goes: nil),
        Case(came: "/a/..%3b/b", goes: nil), Case(came: "/a/..%2fb", goes: nil),
        Case(came: "/a%2f..%2fb", goes: nil), Case(came: "/a/..%5cb", goes: nil),
        Case(came: "/a%2f../b", goes: nil, slashes: .decode),
        Case(came: "/a/%2e%2e%2fb", goes: nil, slashes: .decode),
        // Parameters that are none of dots stay.
        Case(came: "/a;x=1/b", goes: "/a;x=1/b"), Case(came: "/a;../b", goes: "/a;../b"),
        // Escapes of what needs none, and digits in one case.
        Case(came: "/%61%7e%2D", goes: "/a~-"), Case(came: "/a%2eb", goes: "/a.b"),
        Case(came: "/%c3%a4", goes: "/%C3%A4"), Case(came: "/%253a", goes: "/%253a"),
        Case(came: "/%61?%61", goes: "/a?%61"),
        // What is no path.
        Case(came: "/a%00", goes: nil), Case(came: "/a%0", goes: nil), Case(came: "/a%", goes: nil),
        Case(came: "/a%zz", goes: nil), Case(came: "/a\\b", goes: nil),
        // Escaped slashes.
        Case(came: "/a%2fb%5cc", goes: "/a%2Fb%5Cc"),
        Case(came: "/a%2fb%5Cc\\d", goes: "/a/b/c/d", slashes: .decode),
        Case(came: "/a%2fb", goes: nil, slashes: .reject),
        Case(came: "/a%5Cb", goes: nil, slashes: .reject),
        Case(came: "/a\\b", goes: nil, slashes: .reject),
        Case(came: "/a?b=%2f", goes: "/a?b=%2f", slashes: .reject),
        // Runs of slashes.
        Case(came: "//a//b/", goes: "//a//b/"),
        Case(came: "//a///b/?c=//", goes: "/a/b/?c=//", merges: true),
        Case(came: "/a/%2fb", goes: "/a/b", slashes: .decode, merges: true),
        Case(came: "/a/%2fb", goes: "/a/%2Fb", merges: true),
    ]

    private func rig(_ row: Case, match: HTTPMatch = HTTPMatch()) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        settings.paths.mergesSlashes = row.merges
        settings.paths.escapedSlashes = row.slashes
        rig.install(clusters: [[0]], listenerSettings: settings, match: match)
        return rig
    }

    @Test(arguments: cases)
    func theEndpointGetsTheOneFormOrNothing(row: Case) throws {
        let rig = try rig(row)
        let client = rig.connect(sending: "GET \(row.came) HTTP/1.1\r\nhost: h.example\r\n\r\n")
        if let goes = row.goes {
            #expect(rig.forwarded().hasPrefix("GET \(goes) HTTP/1.1\r\n"), "\(rig.forwarded())")
        } else {
            #expect(rig.status(client) == "400")
            #expect(rig.forwarded().isEmpty)
        }
    }

    /// A rule for `/secret` is found however the path is written, or the path is refused.
    @Test(arguments: [
        "/secret/x", "/%73ecret/x", "/s%65cret/x", "//secret/x", "/secret//x", "/secret%2fx",
        "/secret%5cx", "/secret\\x",
    ])
    func noSpellingLeadsPastARule(path: String) throws {
        var row = Case(came: path, goes: nil)
        row.merges = true
        row.slashes = .decode
        let rig = try rig(row, match: HTTPMatch(path: .prefix("/secret")))
        let client = rig.connect(sending: "GET \(path) HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.forwarded().hasPrefix("GET /secret/x HTTP/1.1\r\n"))
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test func anAbsoluteTargetHasTheSameForm() throws {
        let rig = try rig(Case(came: "", goes: nil))
        _ = rig.connect(
            sending: "GET http://h.example/%61/b HTTP/1.1\r\nhost: other.example\r\n\r\n"
        )
        #expect(rig.forwarded().hasPrefix("GET /a/b HTTP/1.1\r\nhost: h.example\r\n"))
        #expect(!rig.forwarded().contains("other.example"))
    }

    @Test(arguments: ["h.example", "H.Example", "h.example:80", "h.example.", "H.EXAMPLE.:8080"])
    func aHostIsTheSameInAnyCaseWithAnyPortAndWithADotAtItsEnd(host: String) throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], host: .exact("h.example"))
        let client = rig.connect(sending: "GET / HTTP/1.1\r\nhost: \(host)\r\n\r\n")
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test(arguments: ["h.example..", ".h.example", "h.example@x", "xh.example"])
    func anotherHostIsNotTaken(host: String) throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], host: .exact("h.example"))
        let client = rig.connect(sending: "GET / HTTP/1.1\r\nhost: \(host)\r\n\r\n")
        #expect(["400", "404"].contains(rig.status(client)))
        #expect(rig.forwarded().isEmpty)
    }
}
