/// Connections that are being made for the same exchange to addresses of one name: the first that
/// comes about is used, the others are closed (RFC 8305 section 5).
struct AddressRace: BitwiseCopyable {
    /// Connections beside the exchange's own.
    static let rivalMax = 4
    /// Addresses that are tried in one race.
    static let addressMax = 8

    /// The exchange's own connection; it takes over the socket of the first that comes about.
    let connection: ConnectionHandle
    /// The cluster's slot.
    let cluster: Int32
    /// When the whole is given up, monotonic nanoseconds.
    let endNanoseconds: UInt64
    private(set) var rivals = InlineArray<4, ConnectionHandle>(repeating: .none)
    private(set) var rivalCount = 0
    private var tried = InlineArray<8, Int32>(repeating: -1)
    private var triedCount = 0
    /// The family of the address that was tried last.
    private(set) var lastIsIPv4 = false

    init(_ connection: ConnectionHandle, cluster: Int32, endNanoseconds: UInt64) {
        self.connection = connection
        self.cluster = cluster
        self.endNanoseconds = endNanoseconds
    }

    /// Whether another address may be tried now.
    var hasRoom: Bool {
        rivalCount < AddressRace.rivalMax && triedCount < AddressRace.addressMax
    }

    func hasTried(_ slot: Int32) -> Bool {
        for index in 0..<triedCount where tried[index] == slot { return true }
        return false
    }

    mutating func note(_ endpoint: EngineEndpoint) {
        lastIsIPv4 = endpoint.address.ip.isIPv4
        guard triedCount < AddressRace.addressMax else { return }
        tried[triedCount] = endpoint.slot
        triedCount += 1
    }

    func isRival(_ handle: ConnectionHandle) -> Bool {
        for index in 0..<rivalCount where rivals[index] == handle { return true }
        return false
    }

    mutating func add(_ rival: ConnectionHandle) {
        rivals[rivalCount] = rival
        rivalCount += 1
    }

    mutating func remove(_ rival: ConnectionHandle) {
        for index in 0..<rivalCount where rivals[index] == rival {
            for after in (index + 1)..<max(rivalCount, index + 1) {
                rivals[after - 1] = rivals[after]
            }
            rivalCount -= 1
            return
        }
    }
}
