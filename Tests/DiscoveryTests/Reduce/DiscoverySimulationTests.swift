import MeshModel
import Testing

@testable import Discovery

@Suite struct DiscoverySimulationTests {
    private static let objects: [KubernetesObject] = ManifestReader.read(
        Array(ManifestFixture.base.utf8)
    ).objects.map(\.object)

    /// Objects arrive in any order, twice, in earlier versions, removed and given again; events are
    /// lost until a list brings them: the snapshot is that of the objects as they are.
    @Test func everyOrderOfEventsEndsInTheSameSnapshot() {
        var wanted = ObjectStore()
        for object in Self.objects { wanted.accept(object, location: "x") }
        let expected = SnapshotReducer.reduce(wanted, ManifestFixture.settings)
        #expect(expected.listeners.count == 1)
        for seed in UInt64(1)...1_000 {
            var random = SeededRandom(state: seed)
            var store = ObjectStore()
            for _ in 0..<20 {
                guard let object = Self.objects.randomElement(using: &random) else { return }
                event(object, &store, &random)
            }
            for object in Self.objects.shuffled(using: &random) {
                store.accept(object, location: "x")
            }
            let reduced = SnapshotReducer.reduce(store, ManifestFixture.settings)
            #expect(reduced == expected, "seed \(seed)")
        }
    }

    private func event(
        _ object: KubernetesObject,
        _ store: inout ObjectStore,
        _ random: inout SeededRandom
    ) {
        switch UInt8.random(in: 0..<5, using: &random) {
        case 0: store.remove(object.key)
        case 1:
            var earlier = object
            earlier.meta.resourceVersion = "earlier"
            earlier.meta.labels["earlier"] = "yes"
            store.accept(earlier, location: "x")
        case 2:
            let content = object.content
            store.refuse(object.key, object.meta, content, reason: "invalid", location: "x")
        case 3: break
        default: store.accept(object, location: "x")
        }
    }
}
