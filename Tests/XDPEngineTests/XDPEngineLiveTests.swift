import Addressing
import Glibc
import LinuxSystem
import MeshModel
import Testing

@testable import XDPEngine

/// The engine on a real interface: a veth pair between namespaces of the test's own.
@Suite(.serialized) struct XDPEngineLiveTests {
    private let pair: VethPair
    private let service = SocketAddress(VethPair.node, 7000)

    init() throws { pair = try VethPair() }

    private func engine(
        _ mode: XDPConfiguration.Mode = .native,
        interfaces: XDPConfiguration.Interfaces = .named(["eth0"]),
        layout: Int = 1
    ) -> XDPEngine {
        var configuration = XDPConfiguration(
            interfaces: interfaces,
            mode: mode,
            pinDirectory: pair.pinDirectory,
            nodeName: "node.example"
        )
        configuration.layout = layout
        return XDPEngine(configuration)
    }

    private func started(_ engine: XDPEngine) throws -> XDPEngine {
        let faults = try pair.inNode { engine.start() }
        try #require(faults.isEmpty, "\(faults)")
        let desired = DesiredShield(nodeAddresses: [VethPair.node])
        try #require(engine.apply(desired, version: 3).isEmpty)
        return engine
    }

    private func block() -> Block { ShieldFixture.block(VethPair.attacker) }

    /// Whether a datagram from the attacker arrives.
    private func arrives() throws -> Bool {
        let receiver = try pair.inNode { () throws(Errno) in try Datagrams(bound: service) }
        let sender = try pair.inAttacker { () throws(Errno) in try Datagrams() }
        sender.send(to: service)
        return receiver.receives()
    }

    @Test(arguments: [(XDPConfiguration.Mode.native, AttachMode.native), (.generic, .generic)])
    func aBlockedSourcesPacketsDoNotArrive(
        mode: XDPConfiguration.Mode,
        expected: AttachMode
    ) throws {
        let engine = try started(engine(mode))
        #expect(engine.status().interfaces.map(\.mode) == [expected])
        #expect(try arrives())
        try engine.addBlock(block())
        #expect(try !arrives())
        #expect(engine.blocks().first?.packetCount == 1)
        try engine.removeBlock(source: block().source)
        #expect(try arrives())
        try engine.cleanup()
    }

    @Test func blocksHoldWhileNoAgentRunsAndAreReadBackByTheNext() throws {
        var first: XDPEngine? = try started(engine())
        let wanted = block()
        try first?.addBlock(wanted)
        let link = first?.status().interfaces.first?.linkID
        #expect(try !arrives())
        first?.stop(keepPinned: true)
        first = nil
        #expect(try !arrives())
        let second = try started(engine())
        #expect(try !arrives())
        #expect(second.status().interfaces.first?.linkID == link)
        let read = try #require(second.blocks().first)
        #expect(read.reason == wanted.reason)
        #expect(read.owner == wanted.owner)
        #expect(read.sinceNanoseconds == wanted.sinceNanoseconds)
        #expect(read.packetCount == 3)
        try second.cleanup()
    }

    @Test func theNextAgentTakesTheMapsOverAndTheOneBeforeWritesNoMore() throws {
        let first = try started(engine())
        let second = try started(engine())
        #expect(second.status().generation == first.status().generation + 1)
        #expect(throws: BlockRefusal.superseded) { try first.addBlock(block()) }
        try second.addBlock(block())
        try second.cleanup()
    }

    @Test func noPacketGetsThroughWhileAgentsReplaceEachOther() throws {
        let first = try started(engine())
        try first.addBlock(block())
        let receiver = try pair.inNode { () throws(Errno) in
            try Datagrams(bound: service, waitMilliseconds: 100)
        }
        let sender = try pair.inAttacker { () throws(Errno) in try Datagrams() }
        let thread = RawThread { [service] in
            for _ in 0..<20_000 { sender.send(to: service) }
        }
        for _ in 0..<10 { _ = try started(engine()) }
        thread.join()
        #expect(!receiver.receives())
        try engine().cleanup()
    }

    @Test(arguments: [AttachMode.native, .generic])
    func anotherProgramIsLeftInPlaceAndReported(mode: AttachMode) throws {
        let object = try ObjectLoader.load(
            object: EmbeddedObject.shield,
            program: "shield",
            reusing: [:]
        )
        let index = try #require(try pair.inNode { NetworkInterface.index(of: "eth0") })
        let foreign = try pair.inNode { () throws(Errno) in
            try KernelLink.attach(object.program, interface: index, mode: mode)
        }
        let engine = engine(.automatic)
        let faults = try pair.inNode { engine.start() }
        #expect(faults.count == 1)
        #expect(faults.first?.part == "interface eth0")
        #expect(faults.first?.reason.contains("left in place") == true)
        #expect(engine.status().interfaces.isEmpty)
        #expect(engine.blockWriter == nil)
        #expect(try foreign.facts().program == object.program.identifier)
        let programs = try pair.inNode { () throws(Errno) in try KernelLink.programs(on: index) }
        #expect(programs.native + programs.generic == object.program.identifier)
        try engine.cleanup()
    }

    @Test func aDriverWithoutNativeXDPGetsGenericAndItIsSaid() throws {
        let engine = engine(.automatic, interfaces: .named(["lo"]))
        let faults = try pair.inNode { engine.start() }
        #expect(engine.status().interfaces.map(\.mode) == [.generic])
        #expect(faults.map(\.part) == ["interface lo"])
        try engine.cleanup()
        let native = self.engine(.native, interfaces: .named(["lo"]))
        #expect(try pair.inNode { native.start() }.count == 1)
        #expect(native.status().interfaces.isEmpty)
        try native.cleanup()
    }

    @Test func cleanupLeavesNoPinAndNoProgram() throws {
        let engine = try started(engine())
        try engine.addBlock(block())
        engine.stop(keepPinned: true)
        let index = try #require(try pair.inNode { NetworkInterface.index(of: "eth0") })
        #expect(try !pair.inNode { () throws(Errno) in try KernelLink.programs(on: index) }.isEmpty)
        try XDPEngine.cleanup(pinDirectory: pair.pinDirectory, nodeName: "node.example")
        #expect(try pair.inNode { () throws(Errno) in try KernelLink.programs(on: index) }.isEmpty)
        #expect(FileSystem.kind(of: "\(pair.pinDirectory)/node%2eexample") == nil)
        #expect(try arrives())
    }

    @Test func anotherLayoutsBlocksAndLinkAreTakenOver() throws {
        let first = try started(engine())
        try first.addBlock(block())
        let link = first.status().interfaces.first?.linkID
        first.stop(keepPinned: true)
        let second = try started(engine(layout: 2))
        #expect(second.blocks().map(\.reason) == [block().reason])
        #expect(second.status().interfaces.first?.linkID == link)
        #expect(try !arrives())
        let names = try FileSystem.names(in: "\(pair.pinDirectory)/node%2eexample")
        #expect(names == ["v2"])
        try second.cleanup()
    }

    @Test func theInterfaceOfTheDefaultRouteIsFound() throws {
        let off = engine(.automatic, interfaces: .automatic)
        _ = try pair.inNode { off.start() }
        #expect(off.status().offReason?.contains("no default route") == true)
        try pair.ip("route add default via 10.77.0.2")
        let routes = try pair.inNode { DefaultRoutes.current() }
        #expect(routes.interfaces == ["eth0"])
        #expect(routes.nextHops == [VethPair.attacker])
        let engine = try started(engine(.automatic, interfaces: .automatic))
        #expect(engine.status().interfaces.map(\.name) == ["eth0"])
        try engine.cleanup()
    }

    @Test func switchedOffItSaysWhyAndTakesTheOldShieldDown() throws {
        let first = try started(engine())
        try first.addBlock(block())
        first.stop(keepPinned: true)
        let off = engine(.off)
        #expect(try pair.inNode { off.start() }.isEmpty)
        #expect(off.status().offReason == "xdp.mode is off")
        #expect(throws: BlockRefusal.off) { try off.addBlock(block()) }
        #expect(try arrives())
        let none = engine(interfaces: .named([]))
        _ = try pair.inNode { none.start() }
        #expect(none.status().offReason == "xdp.interfaces names none")
    }

    @Test func anInterfaceThatIsNotThereIsOneFault() throws {
        let engine = engine(interfaces: .named(["nosuch0", "eth0"]))
        let faults = try pair.inNode { engine.start() }
        #expect(
            faults == [XDPFault(part: "interface nosuch0", reason: "there is no such interface")]
        )
        #expect(engine.status().interfaces.map(\.name) == ["eth0"])
        try engine.cleanup()
    }

    @Test func anInterfaceThatGoesAwayIsReported() throws {
        let engine = try started(engine())
        try pair.ip("link del eth0")
        #expect(engine.status().interfaces.isEmpty)
        #expect(engine.status().faults.map(\.part) == ["interface eth0"])
        try engine.cleanup()
    }

    @Test func anInterfaceThatComesBackIsShieldedAgain() throws {
        let engine = try started(engine())
        try engine.addBlock(block())
        try pair.ip("link del eth0")
        #expect(try pair.inNode { engine.repair() }.map(\.part) == ["interface eth0"])
        #expect(engine.status().offReason != nil)
        try pair.join()
        #expect(try pair.inNode { engine.repair() }.isEmpty)
        #expect(engine.status().interfaces.map(\.name) == ["eth0"])
        #expect(try !arrives())
        try engine.cleanup()
    }

    @Test func withoutAPlaceForPinsTheShieldRunsAndSaysSo() throws {
        let configuration = XDPConfiguration(
            interfaces: .named(["eth0"]),
            mode: .native,
            pinDirectory: "/proc/martlet",
            nodeName: "node"
        )
        let engine = XDPEngine(configuration)
        let faults = try pair.inNode { engine.start() }
        #expect(faults.map(\.part) == ["pins"])
        engine.apply(DesiredShield(nodeAddresses: [VethPair.node]), version: 1)
        try engine.addBlock(block())
        #expect(try !arrives())
        engine.stop(keepPinned: true)
    }
}

@Suite struct XDPEngineLimitTests {
    @Test func theShieldLoadsWhereLockedMemoryIsLimited() async {
        await #expect(processExitsWith: .success) {
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            let result = unsafe setrlimit(__rlimit_resource_t(8), &limit)
            precondition(result == 0)
            let object = try ObjectLoader.load(
                object: EmbeddedObject.shield,
                program: "shield",
                reusing: [:]
            )
            precondition(object.maps["blocks"] != nil)
        }
    }
}
