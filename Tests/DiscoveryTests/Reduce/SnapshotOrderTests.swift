import MeshModel
import Testing

@testable import Discovery

@Suite struct SnapshotOrderTests {
    /// The reducers depend on no order of arrival: every permutation of the objects, and what was
    /// there and went, makes the same snapshot.
    @Test func theOrderOfArrivalMakesNoDifference() {
        let objects = ManifestReader.read(Array(ManifestFixture.base.utf8)).objects.map(\.object)
        var wanted = ObjectStore()
        for object in objects { wanted.accept(object, location: "x") }
        let expected = SnapshotReducer.reduce(wanted, ManifestFixture.settings)
        #expect(expected.listeners.first?.attachments.count == 1)
        for seed in UInt64(1)...200 {
            var random = SeededRandom(state: seed)
            var store = ObjectStore()
            for object in objects.shuffled(using: &random) {
                store.accept(object, location: "x")
                if Bool.random(using: &random) {
                    store.remove(object.key)
                    store.accept(object, location: "x")
                }
            }
            let reduced = SnapshotReducer.reduce(store, ManifestFixture.settings)
            #expect(reduced == expected, "seed \(seed)")
        }
    }
}
