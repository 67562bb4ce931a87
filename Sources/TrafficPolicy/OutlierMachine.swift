/// What an endpoint did with a request.
package enum EndpointOutcome: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// A response below 500.
    case success
    /// A response of 500 or more that is no gateway's.
    case serverError
    /// A response of 502, 503 or 504.
    case gatewayError
    /// No connection, or one that broke or said nothing in time.
    case connectionError

    /// The outcome of a response.
    package init(status: UInt16) {
        if (502...504).contains(status) {
            self = .gatewayError
        } else {
            self = status >= 500 ? .serverError : .success
        }
    }
}

/// The settings of outlier detection in the engine's units. 0 turns a condition off.
package struct OutlierPolicy: BitwiseCopyable, Sendable, Equatable {
    /// Whether anything is looked at.
    package var isActive = false
    /// Failures in a row.
    package var consecutiveErrors: UInt16 = 0
    /// Gateway and connection failures in a row.
    package var consecutiveGatewayErrors: UInt16 = 0
    /// Between two looks at rates.
    package var intervalNanoseconds: UInt64 = 10_000_000_000
    /// The first ejection.
    package var ejectionNanoseconds: UInt64 = 30_000_000_000
    /// The longest ejection.
    package var ejectionNanosecondsMax: UInt64 = 300_000_000_000
    /// Percent of the endpoints that may be out at a time.
    package var ejectedPercentMax: UInt8 = 10
    /// Standard deviations below the mean success rate, in thousandths.
    package var successRateDeviation: UInt16 = 0
    /// Failures among an interval's requests, in percent.
    package var failurePercent: UInt8 = 0
    /// Mean latency in percent of the cluster's median.
    package var latencyPercent: UInt16 = 0
    /// Requests in an interval below which rates say nothing.
    package var requestMin: UInt32 = 100

    /// Makes a policy that looks at nothing.
    package init() {}
}

/// What is remembered of one endpoint.
package struct OutlierRecord: BitwiseCopyable, Sendable, Equatable {
    /// Failures in a row.
    package var consecutiveErrors: UInt16 = 0
    /// Gateway and connection failures in a row.
    package var consecutiveGatewayErrors: UInt16 = 0
    /// Requests of the interval.
    package var requestCount: UInt32 = 0
    /// Failures of the interval.
    package var failureCount: UInt32 = 0
    /// Responses of the interval.
    package var answerCount: UInt32 = 0
    /// The sum of their latencies, nanoseconds.
    package var latencySum: UInt64 = 0
    /// Ejections in the recent past; grows the next one.
    package var ejectionCount: UInt16 = 0
    /// Until when it is out, monotonic nanoseconds; 0 when it is not.
    package var ejectedUntil: UInt64 = 0

    /// An endpoint of which nothing is known.
    package init() {}

    /// Whether it is out.
    package var isEjected: Bool { ejectedUntil != 0 }
    /// Successes among the interval's requests, 0...1.
    var successRate: Double { 1 - Double(failureCount) / Double(max(requestCount, 1)) }
    /// Mean latency of the interval's answers.
    var meanLatency: UInt64 { latencySum / UInt64(max(answerCount, 1)) }
}

/// Decides which endpoints are taken out for a while by what they answer (as Envoy's outlier
/// detection does). One cluster on one worker; time is given.
package enum OutlierMachine {
    /// Endpoints with enough requests that a mean or a median takes.
    package static let comparedMin = 3

    /// Takes an outcome.
    ///
    /// - Parameter latency: of a response, nanoseconds.
    /// - Returns: whether a row of failures is long enough for an ejection.
    package static func observe(
        _ record: inout OutlierRecord,
        _ outcome: EndpointOutcome,
        latency: UInt64,
        _ policy: OutlierPolicy
    ) -> Bool {
        record.requestCount &+= 1
        if outcome != .connectionError {
            record.answerCount &+= 1
            record.latencySum &+= latency
        }
        switch outcome {
        case .success:
            record.consecutiveErrors = 0
            record.consecutiveGatewayErrors = 0
            return false
        case .serverError: record.consecutiveGatewayErrors = 0
        case .gatewayError, .connectionError:
            record.consecutiveGatewayErrors = grown(record.consecutiveGatewayErrors)
        }
        record.failureCount &+= 1
        record.consecutiveErrors = grown(record.consecutiveErrors)
        return reached(record.consecutiveErrors, policy.consecutiveErrors)
            || reached(record.consecutiveGatewayErrors, policy.consecutiveGatewayErrors)
    }

    /// Whether one more endpoint may be taken out: one always may.
    package static func mayEject(
        ejectedCount: Int,
        endpointCount: Int,
        _ policy: OutlierPolicy
    ) -> Bool {
        ejectedCount == 0
            || (ejectedCount + 1) * 100 <= endpointCount * Int(policy.ejectedPercentMax)
    }

    /// Takes an endpoint out. Each ejection is longer than the one before by the first one's time.
    package static func eject(_ record: inout OutlierRecord, now: UInt64, _ policy: OutlierPolicy) {
        record.ejectionCount = grown(record.ejectionCount)
        let (product, overflows) = policy.ejectionNanoseconds.multipliedReportingOverflow(
            by: UInt64(record.ejectionCount)
        )
        let time = overflows ? .max : product
        let bounded = min(time, max(policy.ejectionNanosecondsMax, policy.ejectionNanoseconds))
        record.ejectedUntil = now + min(bounded, .max - now)
        record.consecutiveErrors = 0
        record.consecutiveGatewayErrors = 0
    }

    /// Lets an endpoint back in whose time has passed.
    ///
    /// - Returns: whether it was out and is back.
    package static func release(_ record: inout OutlierRecord, now: UInt64) -> Bool {
        guard record.isEjected, record.ejectedUntil <= now else { return false }
        record.ejectedUntil = 0
        return true
    }

    /// Judges an interval's rates and begins the next one.
    ///
    /// - Parameters:
    ///   - records: those of the cluster's endpoints; their intervals begin anew.
    /// - Returns: the endpoints that are to be taken out, the worst first.
    package static func judge(
        _ records: inout [OutlierRecord],
        _ policy: OutlierPolicy
    ) -> [Int] {
        let judged = records.indices.filter {
            !records[$0].isEjected && records[$0].requestCount >= max(policy.requestMin, 1)
        }
        let leastRate = successRateFloor(judged.map { records[$0].successRate }, policy)
        let mostLatency = latencyCeiling(judged.map { records[$0].meanLatency }, policy)
        let guilty = judged.filter { index in
            let record = records[index]
            let failures = UInt64(record.failureCount) * 100
            let bound = UInt64(record.requestCount) * UInt64(policy.failurePercent)
            return (policy.failurePercent > 0 && failures >= bound)
                || record.successRate < leastRate || record.meanLatency > mostLatency
        }.sorted {
            (records[$0].successRate, records[$1].meanLatency, $0)
                < (records[$1].successRate, records[$0].meanLatency, $1)
        }
        let isGuilty = Set(guilty)
        for index in records.indices {
            beginInterval(&records[index], isGuilty: isGuilty.contains(index))
        }
        return guilty
    }

    private static func beginInterval(_ record: inout OutlierRecord, isGuilty: Bool) {
        if !record.isEjected && !isGuilty && record.ejectionCount > 0 { record.ejectionCount -= 1 }
        record.requestCount = 0
        record.failureCount = 0
        record.answerCount = 0
        record.latencySum = 0
    }

    /// The mean less so many standard deviations; below every rate where the condition is off.
    private static func successRateFloor(_ rates: [Double], _ policy: OutlierPolicy) -> Double {
        guard policy.successRateDeviation > 0, rates.count >= comparedMin else { return -1 }
        let mean = rates.reduce(0, +) / Double(rates.count)
        let variance = rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count)
        return mean - variance.squareRoot() * Double(policy.successRateDeviation) / 1_000
    }

    /// So much of the median; above every latency where the condition is off.
    private static func latencyCeiling(_ latencies: [UInt64], _ policy: OutlierPolicy) -> UInt64 {
        guard policy.latencyPercent > 0, latencies.count >= comparedMin else { return .max }
        let median = latencies.sorted()[(latencies.count - 1) / 2]
        return median / 100 * UInt64(policy.latencyPercent)
    }

    private static func reached(_ count: UInt16, _ bound: UInt16) -> Bool {
        bound > 0 && count >= bound
    }

    private static func grown(_ count: UInt16) -> UInt16 { count == .max ? count : count + 1 }
}
