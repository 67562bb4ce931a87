import TrafficPolicy

/// Copies of requests for other clusters: exchanges of their own whose responses are thrown away.
/// What is slow or large is dropped; the request that is copied never waits.
extension HTTPProxy {
    /// The stream number of exchanges that have no client.
    static let shadowStream: Int32 = -1

    // MARK: Choosing

    /// Draws which clusters get a copy of an exchange's request.
    func drawMirrors(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        let rows = annexes[annex].tries.row.mirrors
        for offset in 0..<rows.count {
            let row = view.mirrors[Int(rows.first + offset)]
            guard random.next(below: row.denominator) < row.numerator else { continue }
            let count = Int(annexes[annex].tries.mirrorCount)
            guard row.cluster >= 0, count < MirrorList.capacity else {
                counters.count(.mirrorsDropped)
                continue
            }
            annexes[annex].tries.mirrors.clusters[count] = row.cluster
            annexes[annex].tries.mirrorCount += 1
        }
    }

    // MARK: Beginning

    /// Sends a request on whose policy has copies: the copies are made before, and sent after.
    @inline(never)
    func dispatchMirrored(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        let count = Int(annexes[annex].tries.mirrorCount)
        for index in 0..<count {
            let cluster = annexes[annex].tries.mirrors.clusters[index]
            guard let mirror = makeShadow(exchange, cluster) else { continue }
            counters.count(.mirrors)
            annexes[annex].tries.mirrors.exchanges[index] = mirror
        }
        let mirrors = annexes[annex].tries.mirrors
        connectUpstream(exchange)
        if exchanges.contains(exchange) { awaitHedge(exchange) }
        for index in 0..<count where exchanges.contains(mirrors.exchanges[index]) {
            connectUpstream(mirrors.exchanges[index])
        }
    }

    /// Makes an exchange with a copy of a request's head, without a client.
    func makeShadow(_ exchange: ExchangeHandle, _ cluster: Int32) -> ExchangeHandle? {
        guard shadowCount < limits.mirrorMax, Int(cluster) < view.clusters.count,
            let block = pool.take()
        else {
            counters.count(.mirrorLimitHits)
            return nil
        }
        let original = exchanges[exchange]
        pool.write(headBytes(exchange), to: block, at: 0)
        let fields = headFields(exchange)
        var copies = pool.mutableElements(
            block,
            at: ExchangeBlock.fieldOffset,
            count: fields.count,
            of: HeaderField.self
        )
        for index in fields.indices { copies[index] = fields[index] }
        var shadow = Exchange(
            downstream: original.downstream,
            block: block,
            entry: original.entry,
            startNanoseconds: loop.nowNanoseconds
        )
        shadow.stream = HTTPProxy.shadowStream
        shadow.head = original.head
        shadow.requestID = original.requestID
        shadow.action.cluster = cluster
        if original.flags.contains(.requestEnded) && original.head.framing == .none {
            shadow.flags.insert(.requestEnded)
        }
        guard let made = exchanges.insert(shadow) else {
            counters.count(.mirrorLimitHits)
            pool.give(block)
            return nil
        }
        shadowCount += 1
        exchangeTimers.set(made.index, loop.nowNanoseconds &+ timeouts.upstreamIdle)
        return made
    }

    // MARK: The body

    /// Copies a piece of a request's body.
    func mirrorBody(_ exchange: ExchangeHandle, _ annex: AnnexHandle, _ bytes: RawSpan) {
        for index in 0..<Int(annexes[annex].tries.mirrorCount) {
            let shadow = annexes[annex].tries.mirrors.exchanges[index]
            guard exchanges.contains(shadow) else { continue }
            guard waitingByteCount(shadow) + bytes.byteCount <= limits.mirrorBodyByteLimit else {
                counters.count(.mirrorBodyLimitHits)
                endShadow(shadow)
                continue
            }
            if exchanges[shadow].flags.contains(.dispatched) {
                writeBody(shadow, bytes)
            } else if !exchanges[shadow].requestBody.append(bytes, pool) {
                counters.count(.bufferLimitHits)
                endShadow(shadow)
            }
        }
    }

    /// Bytes that a copy's endpoint has not taken yet.
    private func waitingByteCount(_ shadow: ExchangeHandle) -> Int {
        let upstream = exchanges[shadow].upstream
        guard exchanges[shadow].upstreamStream == 0 else {
            return streamBodyByteCount(shadow) + exchanges[shadow].requestBody.byteCount
        }
        let queued = connections.contains(upstream) ? connections[upstream].output.byteCount : 0
        return queued + exchanges[shadow].requestBody.byteCount
    }

    /// The whole request has been sent on.
    func endMirrorBodies(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        for index in 0..<Int(annexes[annex].tries.mirrorCount) {
            let shadow = annexes[annex].tries.mirrors.exchanges[index]
            guard exchanges.contains(shadow), !exchanges[shadow].flags.contains(.requestEnded)
            else { continue }
            exchanges[shadow].flags.insert(.requestEnded)
            if exchanges[shadow].flags.contains(.dispatched) { endRequestBody(shadow) }
        }
    }

    // MARK: Ending

    /// Ends the copies whose request will not be complete.
    func endMirrors(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        for index in 0..<Int(annexes[annex].tries.mirrorCount) {
            let shadow = annexes[annex].tries.mirrors.exchanges[index]
            guard exchanges.contains(shadow), !exchanges[shadow].flags.contains(.requestEnded)
            else { continue }
            counters.count(.mirrorsDropped)
            endShadow(shadow)
        }
        annexes[annex].tries.mirrorCount = 0
    }

    /// Ends an exchange without a client; nobody hears of it but the counters.
    func endShadow(_ shadow: ExchangeHandle) {
        if let upstream = unbind(shadow) { close(upstream) }
        shadowCount -= 1
        if exchanges[shadow].flags.contains(.hedge) {
            returnRetry(exchanges[shadow].action.cluster)
        }
        closeExchange(shadow)
    }
}

/// The copies of one request.
struct MirrorList: BitwiseCopyable {
    /// Copies of one request; more are dropped.
    static let capacity = 4

    var clusters = InlineArray<4, Int32>(repeating: -1)
    var exchanges = InlineArray<4, ExchangeHandle>(repeating: .none)
}

/// A cluster that gets a copy of a share of the requests.
struct MirrorRow: BitwiseCopyable {
    /// -1: the reference is invalid.
    var cluster: Int32
    var numerator: UInt32
    var denominator: UInt32
}
