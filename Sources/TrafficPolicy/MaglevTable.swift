/// Maglev's look-up table (Eisenbud and others, NSDI 2016, section 3.4): every endpoint fills
/// nearly the same share of a table of a prime size, by a permutation of its own.
package enum MaglevTable {
    /// Entries unless a size is asked for: the small size of the paper.
    package static let defaultSize = 65_537
    /// The largest table.
    package static let sizeMax = 5_000_011

    /// Fills a table with indexes into the identities.
    ///
    /// - Parameters:
    ///   - identities: what stays the same of each endpoint, whatever others there are; at most
    ///     65,535.
    ///   - size: entries, raised to the next prime; 0: 65,537.
    package static func entries(of identities: [UInt64], size: Int) -> [UInt16] {
        guard !identities.isEmpty, identities.count <= Int(UInt16.max) else { return [] }
        let wanted = size > 0 ? min(max(size, identities.count), sizeMax) : defaultSize
        let count = nextPrime(wanted)
        // Turns are taken in the order of identities, so that the order given does not matter.
        let order = identities.indices.sorted { identities[$0] < identities[$1] }
        var positions = identities.map { identity in
            Int(KeyedHash.of(identity, key: 0x6f66_6673_6574) % UInt64(count))
        }
        let skips = identities.map { identity in
            Int(KeyedHash.of(identity, key: 0x736b_6970) % UInt64(count - 1)) + 1
        }
        var entries = [UInt16](repeating: .max, count: count)
        var filled = 0
        while filled < count {
            for member in order where filled < count {
                while entries[positions[member]] != .max {
                    positions[member] = (positions[member] + skips[member]) % count
                }
                entries[positions[member]] = UInt16(member)
                filled += 1
            }
        }
        return entries
    }

    /// The first prime that is not below a number.
    package static func nextPrime(_ number: Int) -> Int {
        var candidate = max(number, 2)
        while !isPrime(candidate) { candidate += 1 }
        return candidate
    }

    private static func isPrime(_ number: Int) -> Bool {
        var divisor = 2
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 1
        }
        return true
    }
}
