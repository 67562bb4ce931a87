/// Requests of one cluster that wait for a connection, oldest first. Those that ended while they
/// waited are passed over.
struct WaitingLine {
    private var exchanges: [ExchangeHandle] = []
    private var servedCount = 0

    var isEmpty: Bool { servedCount == exchanges.count }

    mutating func append(_ exchange: ExchangeHandle) { exchanges.append(exchange) }

    /// Puts the one that was taken last back to the front.
    mutating func putBack() { servedCount -= 1 }

    mutating func next() -> ExchangeHandle? {
        guard !isEmpty else { return nil }
        servedCount += 1
        return exchanges[servedCount - 1]
    }

    /// Forgets those that were taken.
    mutating func compact() {
        exchanges.removeFirst(servedCount)
        servedCount = 0
    }
}

/// Waiting for a connection where a cluster's connections are bounded.
extension HTTPProxy {
    /// No endpoint is to be had for an exchange: it waits where it may, else it is answered.
    func refuseOrWait(_ exchange: ExchangeHandle) {
        if choiceRefusal == .overflow {
            if choiceOverflow == .breakerConnectionOverflows && wait(exchange) { return }
            counters.count(choiceOverflow)
        }
        fail(exchange, status: 503, choiceRefusal)
    }

    /// Puts an exchange in its cluster's line, if the line has room.
    private func wait(_ exchange: ExchangeHandle) -> Bool {
        let cluster = exchanges[exchange].action.cluster
        let row = view.clusters[Int(cluster)]
        guard row.balancing >= 0 else { return false }
        let limit = view.balancing[Int(row.balancing)].breakers.pending
        guard endpoints.clusters[Int(cluster)].pendingCount < limit else { return false }
        countWaiting(exchange)
        waitingLines[cluster, default: WaitingLine()].append(exchange)
        if exchangeTimers.deadline(of: exchange.index) == 0 {
            exchanges[exchange].flags.insert(.timesWaiting)
            exchangeTimers.set(exchange.index, loop.nowNanoseconds &+ timeouts.connect)
        }
        let downstream = exchanges[exchange].downstream
        if exchanges[exchange].stream == 0, connections.contains(downstream),
            !exchanges[exchange].flags.contains(.requestEnded)
        {
            connections[downstream].flags.insert(.readPaused)
            connectionTimers.set(downstream.index, 0)
        }
        return true
    }

    private func countWaiting(_ exchange: ExchangeHandle) {
        exchanges[exchange].flags.insert(.awaitsConnection)
        endpoints.clusters[Int(exchanges[exchange].action.cluster)].pendingCount &+= 1
    }

    /// Gives those that wait what has become free. At the end of a turn in which any wait.
    func serveWaiting() {
        for cluster in waitingLines.keys {
            guard var line = waitingLines.removeValue(forKey: cluster) else { continue }
            while let exchange = line.next() {
                guard isWaiting(exchange) else { continue }
                trackConnected(exchange)
                guard let endpoint = chooseEndpoint(exchange) else {
                    guard choiceRefusal == .overflow else {
                        leaveLine(exchange)
                        fail(exchange, status: 503, choiceRefusal)
                        continue
                    }
                    countWaiting(exchange)
                    line.putBack()
                    break
                }
                leaveLine(exchange)
                connectUpstream(exchange, to: endpoint)
                finishGathering()
            }
            line.compact()
            if !line.isEmpty { waitingLines[cluster] = line }
        }
    }

    /// Whether an exchange still stands in a line.
    private func isWaiting(_ exchange: ExchangeHandle) -> Bool {
        exchanges.contains(exchange) && exchanges[exchange].flags.contains(.awaitsConnection)
            && !connections.contains(exchanges[exchange].upstream)
    }

    private func leaveLine(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.timesWaiting) {
            exchanges[exchange].flags.remove(.timesWaiting)
            exchangeTimers.set(exchange.index, 0)
        }
        let downstream = exchanges[exchange].downstream
        guard exchanges[exchange].stream == 0, connections.contains(downstream),
            !exchanges[exchange].flags.contains(.requestEnded)
        else { return }
        setDeadline(downstream, bodyTime(downstream))
        resumeReading(downstream)
    }

    /// An exchange has waited for a connection for too long.
    ///
    /// - Returns: `false` for one that does not wait.
    func waitTimedOut(_ exchange: ExchangeHandle) -> Bool {
        guard exchanges[exchange].flags.contains(.timesWaiting) else { return false }
        counters.count(.breakerPendingOverflows)
        fail(exchange, status: 503, .overflow)
        finishGathering()
        return true
    }
}
