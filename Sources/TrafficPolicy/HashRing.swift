/// A ring of points for consistent hashing (ketama): a key belongs to the endpoint of the next point.
/// An endpoint's points depend on nothing but the endpoint, so that one that comes or goes moves
/// only the keys that it gets or had.
package enum HashRing {
    /// A point of the ring.
    package struct Point: BitwiseCopyable, Sendable, Equatable {
        /// Where on the ring.
        package var hash: UInt64
        /// Whose it is: an index into the identities given.
        package var member: Int32
    }

    /// Points of one endpoint unless a size is asked for (ketama's own number).
    package static let pointsPerMember = 160
    /// The most points of a ring, which bounds its memory to 4 MiB.
    package static let pointMax = 262_144

    /// Makes a ring.
    ///
    /// - Parameters:
    ///   - identities: what stays the same of each endpoint, whatever others there are.
    ///   - size: points in all, shared evenly, at least one each; 0: 160 for each endpoint.
    package static func points(of identities: [UInt64], size: Int) -> [Point] {
        guard !identities.isEmpty else { return [] }
        let share = size > 0 ? size / identities.count : pointsPerMember
        let count = max(1, min(share, pointMax / identities.count))
        var points: [Point] = []
        points.reserveCapacity(count * identities.count)
        for (member, identity) in identities.enumerated() {
            for number in 0..<count {
                let hash = KeyedHash.of(identity, UInt64(number), key: 0x6b65_7461_6d61)
                points.append(Point(hash: hash, member: Int32(member)))
            }
        }
        // Equal hashes are told apart by identity, never by the order the endpoints came in.
        points.sort { left, right in
            (left.hash, identities[Int(left.member)]) < (right.hash, identities[Int(right.member)])
        }
        return points
    }

    /// Where a key falls: the first point at or after it, around the end to the first.
    ///
    /// - Parameter hashAt: the hash of a point, for `count` points in order.
    package static func place(_ key: UInt64, _ count: Int, _ hashAt: (Int) -> UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if hashAt(middle) < key { low = middle + 1 } else { high = middle }
        }
        return low == count ? 0 : low
    }
}
