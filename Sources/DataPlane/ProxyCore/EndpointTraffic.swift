/// Times in the buckets of `TrafficRow.durationBounds`.
package struct TimeRow: BitwiseCopyable, Sendable {
    /// Sum, nanoseconds.
    package var sum: UInt64 = 0
    /// Counts by bucket; the last takes what is above all bounds.
    package var buckets: InlineArray<15, UInt64> = .init(repeating: 0)

    /// Makes a row of zero.
    package init() {}

    /// How many there are.
    package var count: UInt64 { buckets.indices.reduce(0) { $0 &+ buckets[$1] } }

    @inline(__always)
    mutating func add(_ nanoseconds: UInt64) {
        sum &+= nanoseconds
        buckets[TrafficRow.bucket(of: nanoseconds)] &+= 1
    }

    /// Adds another worker's row.
    package mutating func add(_ other: TimeRow) {
        sum &+= other.sum
        for index in buckets.indices { buckets[index] &+= other.buckets[index] }
    }
}

/// Counts of one endpoint on one worker.
package struct EndpointRow: BitwiseCopyable, Sendable {
    /// Whose slot it was when this was counted.
    var generation: UInt32 = 0
    /// Exchanges in hand.
    package var activeCount: UInt64 = 0
    /// Tries that ended without a response, or with one of 500 or above.
    package var errorCount: UInt64 = 0
    /// Tries that ended.
    package var requestCount: UInt64 = 0
    /// Sum of times from a try's beginning to its end, nanoseconds.
    package var nanoseconds: UInt64 = 0

    /// Makes a row of zero.
    package init() {}

    /// Counts a try that ended, of an owner of the slot; another one's counts are left behind.
    @inline(__always)
    mutating func count(_ owner: UInt32, isError: Bool, _ time: UInt64) {
        if generation != owner {
            self = EndpointRow()
            generation = owner
        }
        errorCount &+= isError ? 1 : 0
        requestCount &+= 1
        nanoseconds &+= time
    }

    /// Adds another worker's row.
    package mutating func add(_ other: EndpointRow) {
        activeCount &+= other.activeCount
        errorCount &+= other.errorCount
        requestCount &+= other.requestCount
        nanoseconds &+= other.nanoseconds
    }
}

/// One worker's counts by the slots of endpoints, and of connections made, by those of clusters.
package final class EndpointTraffic {
    private let rowMax: Int32
    private let rows: Table<EndpointRow>
    private let connects: Table<TimeRow>

    /// Makes tables of zero.
    ///
    /// - Parameter rowMax: rows of each table; the last is of all slots past it.
    init(rowMax: Int) {
        self.rowMax = Int32(rowMax)
        rows = Table(count: rowMax, repeating: EndpointRow())
        connects = Table(count: rowMax, repeating: TimeRow())
    }

    private func row(_ slot: Int32) -> Int { Int(min(slot, rowMax - 1)) }

    /// Counts a try that ended; a slot that has another owner begins anew.
    @inline(__always)
    func count(_ slot: Int32, _ generation: UInt32, status: UInt16, _ nanoseconds: UInt64) {
        rows[row(slot)].count(
            slot < rowMax - 1 ? generation : 0,
            isError: status >= 500 || status == 0,
            nanoseconds
        )
    }

    /// Counts a connection that was made.
    func countConnect(cluster: Int32, _ nanoseconds: UInt64) {
        if cluster >= 0 { connects[row(cluster)].add(nanoseconds) }
    }

    /// The row of an endpoint, for a scrape on the worker's thread; zero where the slot's counts are
    /// of an earlier owner.
    func row(_ endpoint: EngineEndpoint) -> EndpointRow {
        let found = rows[row(endpoint.slot)]
        guard endpoint.slot < rowMax - 1, found.generation != endpoint.generation else {
            return found
        }
        return EndpointRow()
    }

    /// Times to connect, of some clusters' slots.
    package func connectRows(_ slots: [Int32]) -> [TimeRow] { slots.map { connects[row($0)] } }
}

extension HTTPProxy {
    /// A try has ended, with the status of the response it had.
    @inline(__always)
    func countTry(_ exchange: Place<Exchange>, _ upstream: Place<Connection>) {
        endpointTraffic.count(
            upstream.value.endpoint,
            upstream.value.endpointGeneration,
            status: exchange.value.status,
            loop.nowNanoseconds &- exchange.value.upstreamStartNanoseconds
        )
    }

    /// A connection has been made for an exchange, TLS included.
    func countConnect(_ exchange: ExchangeHandle) {
        endpointTraffic.countConnect(
            cluster: exchanges[exchange].action.cluster,
            loop.nowNanoseconds &- exchanges[exchange].upstreamStartNanoseconds
        )
    }

    /// The counts of some endpoints, with their exchanges in hand; on the worker's thread.
    package func endpointRows(_ wanted: [EngineEndpoint]) -> [EndpointRow] {
        wanted.map { endpoint in
            var row = endpointTraffic.row(endpoint)
            if endpoints.isOwned(endpoint.slot, by: endpoint.generation) {
                row.activeCount = UInt64(endpoints[endpoint.slot].activeCount)
            }
            return row
        }
    }
}
