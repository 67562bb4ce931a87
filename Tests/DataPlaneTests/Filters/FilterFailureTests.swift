import DataPlane
import Testing

@Suite struct FilterFailureTests {
    typealias Phase = ScriptedFilter.Phase

    enum Way: CaseIterable {
        case error
        case overrun
    }

    private func rig(failing phase: Phase, _ way: Way) throws -> ProxyRig {
        let record = FilterRecord()
        let filters = [ScriptedFilter("a", record), ScriptedFilter("b", record)]
        if phase == .request {
            filters[1].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 99) }
        }
        if phase == .response {
            filters[1].steps[.responseHeaders] = { _ in .waitForAll(byteLimit: 99) }
        }
        let rig = try ProxyRig(filters)
        if way == .error {
            filters[1].errors[phase] = FilterError("as told")
            return rig
        }
        var hasOverrun = false
        filters[1].steps[phase] = { [network = rig.network] _ in
            if !hasOverrun { network.advance(nanoseconds: 6_000_000) }
            hasOverrun = true
            return .proceed
        }
        return rig
    }

    static let table = Way.allCases.flatMap { way in
        FilterPauseTests.phases.map { ($0, way) }
    }

    @Test(arguments: table)
    func aFilterThatFailsCostsA500OrOnceTheHeadIsOutTheConnection(phase: Phase, way: Way) throws {
        let rig = try rig(failing: phase, way)
        let client = rig.connect(sending: ChunkedMessages.request)
        if phase.isOfResponse { rig.answer(ChunkedMessages.response) }
        rig.settle()
        if phase == .responseData || phase == .responseTrailers {
            #expect(rig.ended.contains(client))
            #expect(!ChunkedMessages.content(rig.text(client)).contains("|"))
        } else {
            #expect(rig.status(client) == "500")
        }
        let counter: EngineCounter = way == .error ? .filterErrors : .filterOverruns
        #expect(rig.proxy.counters[counter] == 1)
        let next = rig.connect(sending: ChunkedMessages.request)
        rig.answer(ChunkedMessages.response)
        #expect(
            ChunkedMessages.content(rig.text(next)) == ChunkedMessages.responseContent,
            "the worker lives"
        )
    }

    @Test(arguments: Way.allCases)
    func anHTTP2StreamWhoseFilterFailsLateIsResetAndTheOthersGoOn(way: Way) throws {
        let rig = try rig(failing: .responseData, way)
        let client = rig.connect()
        rig.send(client, HTTP2Frames.preface + HTTP2Frames.headers(1, HTTP2Frames.get, ends: true))
        rig.answer(ChunkedMessages.response)
        #expect(HTTP2Frames.parse(rig.received(client)).contains { $0.type == 3 && $0.code == 2 })
        rig.send(client, HTTP2Frames.headers(3, HTTP2Frames.get, ends: true))
        rig.answer(ChunkedMessages.response)
        let frames = HTTP2Frames.parse(rig.received(client))
        #expect(
            frames.contains { $0.stream == 3 && $0.type == 0 && $0.payload == Array("xyz".utf8) }
        )
    }

    @Test func anOverrunInLogIsCounted() throws {
        let filter = SlowLog()
        let rig = try ProxyRig([filter])
        filter.network = rig.network
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(rig.status(client) == "204")
        #expect(rig.proxy.counters[.filterOverruns] == 1)
    }

    private final class SlowLog: Filter {
        var network: SimulatedNetwork?

        init() { super.init(name: "slow", phases: .log) }

        override func log(_ context: FilterContext) { network?.advance(nanoseconds: 6_000_000) }
    }
}
