import MeshModel
import Testing

@testable import Discovery

/// The machines of the Kubernetes source, without a byte of network.
@Suite struct KubernetesMachineTests {
    private let service = ObjectKey(.service, namespace: "a", name: "s")

    @Test func aListGoesPageByPageThenWatchesFromItsVersion() {
        var machine = WatchMachine()
        expect(machine.next(), .list(continueToken: "", itemLimit: 500))
        expect(machine.listed(service, resourceVersion: "3"), true)
        expect(machine.pageEnded(resourceVersion: "9", continueToken: "t").isEmpty, true)
        #expect(!machine.isSynced)
        expect(machine.next(), .list(continueToken: "t", itemLimit: 500))
        expect(machine.pageEnded(resourceVersion: "9", continueToken: "").isEmpty, true)
        #expect(machine.isSynced)
        expect(machine.next(), .watch(resourceVersion: "9"))
    }

    @Test func whatANewListHasNotIsDeletedAndWhatItHasUnchangedIsNotToldAgain() {
        let gone = ObjectKey(.service, namespace: "a", name: "gone")
        var machine = WatchMachine(known: [service: "3", gone: "4"])
        expect(machine.listed(service, resourceVersion: "3"), false)
        expect(machine.pageEnded(resourceVersion: "9", continueToken: ""), [gone])
        #expect(machine.objectCount == 1)
    }

    @Test func bookmarksMoveTheVersionThatAWatchResumesFrom() {
        var machine = watching("9")
        expect(machine.received(.bookmark(resourceVersion: "20"), random: 0), .none)
        machine.failed(.disconnected, random: 0)
        expect(machine.next(), .wait(.milliseconds(125)))
        expect(machine.next(), .watch(resourceVersion: "20"))
    }

    @Test(arguments: [true, false])
    func aForgottenVersionIsListedAnewAtOnceThenWithWaits(inStream: Bool) {
        var machine = watching("9")
        func forget(_ machine: inout WatchMachine) {
            if inStream {
                expect(machine.received(.error(code: 410), random: 0), .ended)
            } else {
                machine.failed(.expired, random: 0)
            }
        }
        forget(&machine)
        expect(machine.next(), .list(continueToken: "", itemLimit: 500))
        _ = machine.pageEnded(resourceVersion: "30", continueToken: "")
        forget(&machine)
        guard case .wait = machine.next() else {
            Issue.record("lists follow each other without a wait")
            return
        }
        #expect(machine.relistCount == 2)
    }

    @Test func anExpiredContinueTokenMakesTheListOnePiece() {
        var machine = WatchMachine()
        _ = machine.pageEnded(resourceVersion: "9", continueToken: "t")
        machine.failed(.expired, random: 0)
        expect(machine.next(), .list(continueToken: "", itemLimit: 0))
    }

    @Test func aKindThatIsNotServedIsAskedForAgainFromANewList() {
        var machine = WatchMachine()
        machine.failed(.notServed, random: 0)
        expect(machine.next(), .wait(.milliseconds(125)))
        expect(machine.next(), .list(continueToken: "", itemLimit: 500))
    }

    @Test func aWatchThatEndsAtOnceIsNotRepeatedWithoutAWait() {
        var machine = watching("9")
        machine.watchEnded(lived: .milliseconds(1), random: 0)
        expect(machine.next(), .wait(.milliseconds(125)))
        machine.watchEnded(lived: .seconds(300), random: 0)
        expect(machine.next(), .watch(resourceVersion: "9"))
    }

    @Test func eventsAreAppliedOnceEach() {
        var machine = watching("9")
        let added = WatchEvent.changed(service, resourceVersion: "10")
        expect(machine.received(added, random: 0), .upsert)
        expect(machine.received(added, random: 0), .none)
        let deleted = WatchEvent.deleted(service, resourceVersion: "11")
        expect(machine.received(deleted, random: 0), .delete)
        expect(machine.received(deleted, random: 0), .none)
    }

    /// `#expect` takes no calls that change a machine.
    private func expect<Value: Equatable>(
        _ found: Value,
        _ wanted: Value,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(found == wanted, sourceLocation: sourceLocation)
    }

    private func watching(_ version: String) -> WatchMachine {
        var machine = WatchMachine()
        _ = machine.pageEnded(resourceVersion: version, continueToken: "")
        _ = machine.next()
        return machine
    }

    // MARK: Bytes

    @Test func linesAreTheSameWhereverTheBytesAreCut() throws {
        let text = Array("{\"a\":1}\n\n{\"b\":\"x\"}\n{\"c\"".utf8)
        for cut in 0...text.count {
            var splitter = WatchLineSplitter()
            var lines = try splitter.append(Array(text[..<cut]))
            lines += try splitter.append(Array(text[cut...]))
            #expect(lines == [Array("{\"a\":1}".utf8), Array("{\"b\":\"x\"}".utf8)])
            expect(splitter.finish(), Array("{\"c\"".utf8))
        }
    }

    @Test func aLineOverTheLimitIsRefused() throws {
        var splitter = WatchLineSplitter(lineByteLimit: 8)
        try expect(splitter.append(Array("12345678\n1234".utf8)).count, 1)
        #expect(throws: WatchLineSplitter.LineTooLong(byteLimit: 8)) {
            try splitter.append(Array("56789".utf8))
        }
    }

    @Test func itemsOfAListAreTheSameWhereverTheBytesAreCut() throws {
        let items = ["{\"x\":{\"items\":[1,{}]},\"s\":\"]}\\\"\"}", "{}", "{\"n\":[[]]}"]
        let text =
            "{\"kind\":\"items\",\"metadata\":{\"continue\":\"t\",\"items\":[9]},\"items\": ["
            + items.joined(separator: " , ") + "],\"after\":1}"
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var splitter = ListItemSplitter()
            var found = try splitter.append(Array(bytes[..<cut]))
            found += try splitter.append(Array(bytes[cut...]))
            #expect(found == items.map { Array($0.utf8) })
            let envelope = try ObjectEnvelope(json: try splitter.finish())
            #expect(envelope.continueToken == "t")
        }
    }

    @Test(arguments: ["[]", "{\"items\":[{}", "{\"items\":[]", "x"])
    func aListThatIsNotWholeIsRefused(text: String) {
        #expect(throws: ListItemSplitter.Fault.self) {
            var splitter = ListItemSplitter()
            _ = try splitter.append(Array(text.utf8))
            _ = try splitter.finish()
        }
    }

    @Test(arguments: [
        "{\"type\":\"ADDED\"}", "{\"type\":\"NEW\",\"object\":{\"metadata\":{\"name\":\"x\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\"}",
        "[]", "{\"type\":\"ADDED\",\"object\":[]}",
    ])
    func aLineThatIsNoEventOfTheKindIsRefused(text: String) {
        #expect(throws: JSONFault.self) { try WatchLine(Array(text.utf8), kind: .service) }
    }

    @Test func anEventIsReadByNameAndVersionAndItsObjectIsFound() throws {
        let object =
            "{\"spec\":{\"x\":[{}]},\"metadata\":{\"name\":\"\\u0061\\ud83d\\ude00\","
            + "\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"generation\":3}}"
        let line = Array("{ \"object\": \(object), \"type\": \"MODIFIED\" }".utf8)
        let read = try WatchLine(line, kind: .service)
        let key = ObjectKey(.service, namespace: "n", name: "a\u{1F600}")
        #expect(read.event == .changed(key, resourceVersion: "7"))
        #expect(
            read.envelope.version == ObjectVersion(uid: "u", resourceVersion: "7", generation: 3)
        )
        #expect(Array(line[read.objectRange]) == Array(object.utf8))
    }

    @Test func answersAreTheSameWhereverTheBytesAreCut() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nRetry-After: 7\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var reader = APIResponseReader()
            let parts = reader.receive(Array(bytes[..<cut])) + reader.receive(Array(bytes[cut...]))
            var body: [UInt8] = []
            for case .body(let part) in parts { body += part }
            #expect(parts.first == .head(status: 200, retryAfterSeconds: 7))
            #expect(body == Array("abcde".utf8))
            #expect(parts.last == .end)
        }
    }
}
