import Testing

@testable import TrafficPolicy

/// Consistent hashing: even shares, few keys moved, the same everywhere.
@Suite struct ConsistentHashTests {
    private enum Kind: CaseIterable {
        case ring
        case maglev
    }

    /// Whose each of many keys is, by identity.
    private static func owners(_ kind: Kind, _ identities: [UInt64]) -> [UInt64] {
        let points = HashRing.points(of: identities, size: 0)
        let entries = MaglevTable.entries(of: identities, size: 0)
        return (0..<20_000).map { number in
            let key = KeyedHash.of(UInt64(number), key: 9)
            switch kind {
            case .ring:
                let place = HashRing.place(key, points.count) { points[$0].hash }
                return identities[Int(points[place].member)]
            case .maglev: return identities[Int(entries[Int(key % UInt64(entries.count))])]
            }
        }
    }

    private static func identities(_ count: Int, seed: UInt64) -> [UInt64] {
        (0..<count).map { KeyedHash.of(UInt64($0), key: seed) }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func anEndpointThatGoesMovesLittleButItsOwnKeys(seed: UInt64) {
        for kind in Kind.allCases {
            let before = ConsistentHashTests.identities(10, seed: seed)
            let gone = before[Int(seed) % 10]
            let old = ConsistentHashTests.owners(kind, before)
            let new = ConsistentHashTests.owners(kind, before.filter { $0 != gone })
            let moved = zip(old, new).count { $0 != gone && $0 != $1 }
            // A ring moves none; Maglev's own paper allows a few hundredths.
            #expect(moved <= (kind == .ring ? 0 : 20_000 / 25), "\(kind) moved \(moved)")
            #expect(!new.contains(gone))
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func anEndpointThatComesTakesItsShareAndLeavesTheRest(seed: UInt64) {
        for kind in Kind.allCases {
            let after = ConsistentHashTests.identities(10, seed: seed)
            let old = ConsistentHashTests.owners(kind, Array(after.dropLast()))
            let new = ConsistentHashTests.owners(kind, after)
            let taken = new.count { $0 == after[9] }
            #expect(taken > 1_000 && taken < 3_200, "\(kind) took \(taken)")
            let moved = zip(old, new).count { $0 != $1 } - taken
            #expect(moved <= (kind == .ring ? 0 : 20_000 / 25), "\(kind) moved \(moved)")
        }
    }

    @Test func theOrderOfEndpointsDoesNotMatter() {
        for kind in Kind.allCases {
            let some = ConsistentHashTests.identities(7, seed: 3)
            let one = ConsistentHashTests.owners(kind, some)
            #expect(one == ConsistentHashTests.owners(kind, some.reversed()))
        }
    }

    @Test func maglevSharesAreNearlyEqual() {
        let entries = MaglevTable.entries(of: ConsistentHashTests.identities(13, seed: 5), size: 0)
        #expect(entries.count == MaglevTable.defaultSize)
        let shares = (0..<13).map { member in entries.count { $0 == UInt16(member) } }
        let difference = (shares.max() ?? 0) - (shares.min() ?? 0)
        #expect(difference <= 1)
    }

    @Test func sizesAreKept() {
        let some = ConsistentHashTests.identities(4, seed: 1)
        #expect(MaglevTable.entries(of: some, size: 100).count == 101)
        #expect(MaglevTable.nextPrime(65_537) == 65_537)
        #expect(HashRing.points(of: some, size: 100).count == 100)
        #expect(HashRing.points(of: some, size: 1).count == 4)
        #expect(HashRing.points(of: [], size: 0).isEmpty)
        #expect(MaglevTable.entries(of: [], size: 0).isEmpty)
        let many = ConsistentHashTests.identities(3_000, seed: 1)
        #expect(HashRing.points(of: many, size: 0).count <= HashRing.pointMax)
    }

    /// What a key hashes to is part of the behaviour: every node and every version agree.
    @Test func hashesAreTheSameInEveryRun() {
        #expect(KeyedHash.of("", key: 0) == KeyedHash.of(byteCount: 0, key: 0) { _ in 0 })
        #expect(KeyedHash.of("client-7", key: 1) != KeyedHash.of("client-7", key: 2))
        #expect(KeyedHash.of("client-7", key: 1) != KeyedHash.of("client-8", key: 1))
        let points = HashRing.points(of: [1, 2], size: 2)
        #expect(points.map(\.member) == [0, 1] || points.map(\.member) == [1, 0])
        let text = "eight by eight!!"
        let bytes = Array(text.utf8)
        var words: [UInt64] = []
        for start in [0, 8] {
            words.append((0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64($1 * 8) })
        }
        #expect(KeyedHash.of(text, key: 5) == KeyedHash.of(words[0], words[1], key: 5))
    }
}
