import Discovery
import MeshModel
import Testing

/// The watch machine against a model of an API server, with losses and forgetting in random places.
@Suite struct WatchMachineTests {
    /// What the server is: objects with versions, a log, and how far back it remembers.
    private struct Model {
        var objects: [ObjectKey: Int] = [:]
        var log: [(key: ObjectKey, version: Int, isDeleted: Bool)] = []
        var version = 1
        var oldest = 1

        mutating func change(_ key: ObjectKey, isDeleted: Bool) {
            guard !isDeleted || objects[key] != nil else { return }
            version += 1
            objects[key] = isDeleted ? nil : version
            log.append((key, version, isDeleted))
        }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    @Test(arguments: Array(0..<20))
    func everyOrderAndLossEndsInTheServersState(block: Int) {
        for offset in 0..<50 {
            let seed = UInt64(block * 50 + offset)
            #expect(WatchMachineTests.run(seed: seed), "seed \(seed)")
        }
    }

    private static func run(seed: UInt64) -> Bool {
        var random = Generator(state: seed &+ 1)
        var model = Model()
        var machine = WatchMachine()
        var copy: [ObjectKey: Int] = [:]
        let keys = (0..<6).map { ObjectKey(.service, namespace: "n", name: "s\($0)") }
        for step in 0..<200 {
            let isQuiet = step >= 120
            if !isQuiet {
                model.change(
                    keys[Int.random(in: 0..<6, using: &random)],
                    isDeleted: Int.random(in: 0..<3, using: &random) == 0
                )
                if Int.random(in: 0..<12, using: &random) == 0 { model.oldest = model.version }
            }
            turn(&machine, &model, &copy, &random, faults: !isQuiet)
        }
        return copy == model.objects && machine.isSynced
    }

    private static func turn(
        _ machine: inout WatchMachine,
        _ model: inout Model,
        _ copy: inout [ObjectKey: Int],
        _ random: inout Generator,
        faults: Bool
    ) {
        let fails = faults && Int.random(in: 0..<4, using: &random) == 0
        let bits = random.next()
        switch machine.next() {
        case .wait: return
        case .list:
            let items = model.objects.sorted { $0.key < $1.key }
            for (key, version) in fails ? items.prefix(1) : items[...]
            where machine.listed(key, resourceVersion: String(version)) {
                copy[key] = version
            }
            if fails {
                machine.failed([.disconnected, .expired, .malformed][Int(bits % 3)], random: bits)
                return
            }
            let version = String(model.version)
            for key in machine.pageEnded(resourceVersion: version, continueToken: "") {
                copy[key] = nil
            }
        case .watch(let text):
            let from = Int(text) ?? 0
            guard from >= model.oldest else {
                _ = machine.received(.error(code: 410), random: bits)
                return
            }
            for event in model.log where event.version > from {
                let version = String(event.version)
                let told: WatchEvent =
                    event.isDeleted
                    ? .deleted(event.key, resourceVersion: version)
                    : .changed(event.key, resourceVersion: version)
                switch machine.received(told, random: bits) {
                case .upsert: copy[event.key] = event.version
                case .delete: copy[event.key] = nil
                case .none, .ended: break
                }
                if fails { break }
            }
            if fails {
                machine.failed(.disconnected, random: bits)
            } else {
                machine.watchEnded(lived: .seconds(20), random: bits)
            }
        }
    }

    @Test func waitsGrowAndAreBounded() {
        var backoff = BackoffMachine(first: .seconds(1), most: .seconds(8))
        let waits = (0..<6).map { _ in backoff.failed(random: 0) }
        #expect(
            waits == [
                .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(4), .seconds(4),
            ]
        )
        backoff.succeeded()
        #expect(backoff.failed(random: 1_024) == .seconds(1))
    }
}
