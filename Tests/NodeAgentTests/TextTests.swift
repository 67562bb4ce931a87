import Discovery
import MeshModel
import Testing

@testable import NodeAgent

@Suite struct DurationTextTests {
    @Test(arguments: [
        ("30s", Duration.seconds(30)), ("5m", .seconds(300)), ("1h", .seconds(3_600)),
        ("500ms", .milliseconds(500)), ("0s", .zero),
    ])
    func durationsAreRead(_ text: String, _ expected: Duration) {
        #expect(DurationText.parse(text) == expected)
    }

    @Test(arguments: ["", "s", "30", "30 s", "-5s", "1d", "1.5s", "99999h", "3s5"])
    func otherTextIsNoDuration(_ text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(arguments: [(5, "5s"), (185, "3m5s"), (7_800, "2h10m"), (90_000, "1d1h")])
    func agesAreShort(_ seconds: Int64, _ expected: String) {
        #expect(DurationText.text(seconds: seconds) == expected)
    }
}

@Suite struct URLTextTests {
    @Test func whatIsEncodedIsDecoded() {
        let text = "GET /a?b=c&d=e+f 100% zürich"
        #expect(URLText.decoded(URLText.encoded(text)) == text)
        #expect(URLText.encoded("192.0.2.0/24") == "192.0.2.0%2F24")
        #expect(URLText.decoded("a+b") == "a b")
    }

    @Test(arguments: ["%", "%2", "%zz", "%ff"])
    func brokenEscapesAreRefused(_ text: String) {
        #expect(URLText.decoded(text) == nil)
    }
}

@Suite struct TableTests {
    @Test func columnsAreAsWideAsTheirWidestCell() {
        var table = TextTable(["A", "BB"])
        #expect(table.lines == [])
        table.add(["long", "x"])
        #expect(table.lines == ["A     BB", "long  x"])
    }

    @Test func blocksAreShownForPeople() {
        #expect(BlockTable.lines(#"{"blocks":[]}"#) == ["no blocks"])
        let lines = BlockTable.lines(
            #"{"blocks":[{"source":"192.0.2.7/32","scope":"node","owner":"operator","#
                + #""expiry":"soon","packetsDropped":3,"enforcedAt":["xdp","userspace"],"#
                + #""reason":"why"}]}"#
        )
        #expect(lines.count == 2)
        #expect(lines[1] == "192.0.2.7/32  node   operator  soon     3        xdp,userspace  why")
    }

    @Test func statusIsShownForPeople() {
        let lines = StatusTable.lines(
            #"{"node":{"name":"n1"},"build":{"martlet":"1"},"uptimeSeconds":65,"ready":true,"#
                + #""draining":false,"snapshot":{"version":4,"layers":[{"layer":"ingress","#
                + #""on":true,"appliedVersion":4,"lag":0,"why":null}]},"faults":["broken"]}"#
        )
        #expect(lines.first == "node n1: ready, up 1m5s, martlet 1, snapshot 4")
        #expect(lines.contains("  ingress  yes  4               0    -"))
        #expect(lines.suffix(2) == ["faults", "  broken"])
    }
}
