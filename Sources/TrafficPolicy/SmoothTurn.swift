/// One turn of a weighted round robin that spreads heavy endpoints out (nginx's): every endpoint
/// gains its weight, the one that has most is taken and pays the sum.
package struct SmoothTurn: BitwiseCopyable, Sendable {
    private var credit = Int64.min
    /// What the one that is taken pays.
    package private(set) var sum: Int64 = 0
    /// The index taken; -1 when nothing was offered.
    package private(set) var taken = -1

    /// Begins a turn.
    package init() {}

    /// Offers an endpoint.
    ///
    /// - Parameters:
    ///   - credit: what the endpoint has gathered; gains the weight.
    ///   - weight: above 0.
    package mutating func offer(_ index: Int, _ credit: inout Int64, weight: Int64) {
        credit += weight
        sum += weight
        if credit > self.credit {
            self.credit = credit
            taken = index
        }
    }
}
