import MeshModel
import Testing

@testable import Discovery

/// The whole of discovery without a network: a model of an API server, responses that arrive in
/// pieces of any size, break off anywhere and overtake each other between kinds, versions that are
/// forgotten, objects that come, change, turn invalid and go. Whatever happens, the snapshot in the
/// end is that of the objects as they are.
@Suite struct DiscoverySimulationTests {
    @Test(arguments: Array(0..<20))
    func everyOrderAndLossEndsInTheSnapshotOfTheServersObjects(block: Int) {
        var total = DiscoveryRun.Counts()
        for offset in 1...50 {
            let seed = UInt64(block * 50 + offset)
            var run = DiscoveryRun(seed: seed)
            run.disturb(stepCount: 150)
            let differed = run.snapshot != run.expected
            total.differedCount += differed ? 1 : 0
            run.settle()
            #expect(run.snapshot == run.expected, "seed \(seed)")
            total.add(run.counts)
        }
        // Seeds that lose nothing would prove nothing.
        #expect(total.breakCount > 50 && total.relistCount > 50 && total.refusalCount > 50)
        #expect(total.deletionCount > 50 && total.differedCount > 25, "\(total)")
    }
}

/// One seeded run.
struct DiscoveryRun {
    /// What happened in it.
    struct Counts {
        var breakCount = 0
        var relistCount: UInt64 = 0
        var refusalCount = 0
        var deletionCount = 0
        var differedCount = 0

        mutating func add(_ other: Counts) {
            breakCount += other.breakCount
            relistCount += other.relistCount
            refusalCount += other.refusalCount
            deletionCount += other.deletionCount
        }
    }

    /// A response that is on its way.
    private enum Flight {
        case list([UInt8], ListItemSplitter)
        case watch([UInt8], WatchLineSplitter)
    }

    private static let settings = ReduceSettings(nodeName: "n1", isManifestMode: false)
    private var random: SeededRandom
    private var model = ClusterModel()
    private var copy: ClusterCopy
    private var flights: [ObjectKind: Flight] = [:]
    private(set) var counts = Counts()

    init(seed: UInt64) {
        random = SeededRandom(state: seed)
        copy = ClusterCopy(location: "x", validate: DiscoveryRun.settings.rejection)
        for kind in ClusterModelObjects.kinds { copy.follow(kind) }
    }

    /// What the copy makes of the objects.
    var snapshot: MeshSnapshot { SnapshotReducer.reduce(copy.store, DiscoveryRun.settings) }

    /// What the server's objects make, taken as they are.
    var expected: MeshSnapshot {
        var store = ObjectStore(validate: DiscoveryRun.settings.rejection)
        for (_, json) in model.objects.values.flatMap(\.values) {
            guard let document = try? DocumentNode(json: Array(json.utf8)),
                case .object(let object) = ObjectDecoder.decode(document)
            else { continue }
            store.accept(object, location: "x")
        }
        return SnapshotReducer.reduce(store, DiscoveryRun.settings)
    }

    /// Changes, requests, pieces of responses and faults in any order.
    mutating func disturb(stepCount: Int) {
        for _ in 0..<stepCount {
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1: change()
            case 2 where Int.random(in: 0..<4, using: &random) == 0: model.compact()
            default: advance(isQuiet: false)
            }
        }
    }

    /// Every object takes a valid version or goes, and the network works.
    mutating func settle() {
        for variants in ClusterModelObjects.all {
            let isThere = Int.random(in: 0..<5, using: &random) > 0
            let text = isThere ? variants.valid.randomElement(using: &random) : nil
            model.change(variants.kind, variants.name, text)
        }
        for kind in ClusterModelObjects.kinds { for _ in 0..<60 { advance(kind, isQuiet: true) } }
        counts.relistCount = copy.relistCount
    }

    private mutating func change() {
        guard let variants = ClusterModelObjects.all.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
            model.change(variants.kind, variants.name, nil)
            counts.deletionCount += 1
        case 1 where !variants.invalid.isEmpty:
            let text = variants.invalid.randomElement(using: &random)
            model.change(variants.kind, variants.name, text)
            counts.refusalCount += 1
        default:
            model.change(variants.kind, variants.name, variants.valid.randomElement(using: &random))
        }
    }

    private mutating func advance(isQuiet: Bool) {
        guard let kind = ClusterModelObjects.kinds.randomElement(using: &random) else { return }
        advance(kind, isQuiet: isQuiet)
    }

    private mutating func advance(_ kind: ObjectKind, isQuiet: Bool) {
        guard let resource = APIResource.preferred(kind) else { return }
        guard let flight = flights.removeValue(forKey: kind) else {
            begin(resource, isQuiet: isQuiet)
            return
        }
        if !isQuiet, Int.random(in: 0..<8, using: &random) == 0 {
            let faults: [WatchMachine.Fault] = [
                .disconnected, .disconnected, .malformed, .overloaded(retryAfter: .seconds(1)),
            ]
            let fault = faults.randomElement(using: &random) ?? .disconnected
            copy.failed(kind, fault, random: random.next())
            counts.breakCount += 1
            return
        }
        receive(resource, flight, isQuiet: isQuiet)
    }

    private mutating func begin(_ resource: APIResource, isQuiet: Bool) {
        let answer: ClusterModel.Answer
        let isWatch: Bool
        switch copy.next(resource.kind) {
        case .wait, nil: return
        case .list(let token, let limit):
            isWatch = false
            answer = model.list(resource.kind, token, limit: limit)
        case .watch(let version):
            isWatch = true
            let bookmark = Int.random(in: 0..<3, using: &random) == 0
            answer = model.watch(resource.kind, from: version, bookmark: bookmark)
        }
        let refusals: [WatchMachine.Fault] = [.unauthorized, .forbidden, .notServed, .expired]
        if !isQuiet, Int.random(in: 0..<12, using: &random) == 0 {
            let fault = refusals.randomElement(using: &random) ?? .unauthorized
            copy.failed(resource.kind, fault, random: random.next())
            return
        }
        switch answer {
        case .status: copy.failed(resource.kind, .expired, random: random.next())
        case .body(let bytes):
            flights[resource.kind] =
                isWatch
                ? .watch(bytes, WatchLineSplitter()) : .list(bytes, ListItemSplitter())
        }
    }

    /// A piece of a response arrives; in the quiet all of it.
    private mutating func receive(_ resource: APIResource, _ flight: Flight, isQuiet: Bool) {
        do throws(WatchMachine.Fault) {
            switch flight {
            case .list(let bytes, var splitter):
                let piece = self.piece(bytes, isQuiet)
                try copy.receivedList(resource, Array(bytes.prefix(piece)), &splitter)
                if piece < bytes.count {
                    flights[resource.kind] = .list(Array(bytes.dropFirst(piece)), splitter)
                } else {
                    try copy.endedList(resource, &splitter)
                }
            case .watch(let bytes, var splitter):
                let piece = self.piece(bytes, isQuiet)
                let bits = random.next()
                let taken = Array(bytes.prefix(piece))
                try copy.receivedWatch(resource, taken, &splitter, random: bits)
                if piece < bytes.count {
                    flights[resource.kind] = .watch(Array(bytes.dropFirst(piece)), splitter)
                } else {
                    copy.watchEnded(resource.kind, lived: .seconds(20), random: bits)
                }
            }
        } catch {
            if error != .ended { copy.failed(resource.kind, error, random: random.next()) }
        }
    }

    private mutating func piece(_ bytes: [UInt8], _ isQuiet: Bool) -> Int {
        isQuiet || bytes.isEmpty ? bytes.count : Int.random(in: 1...bytes.count, using: &random)
    }
}
