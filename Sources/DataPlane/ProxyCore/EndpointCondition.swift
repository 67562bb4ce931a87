/// What workers know of an endpoint, summed.
package struct EndpointCondition: Equatable, Sendable {
    /// Requests in hand.
    package var requestCount = 0
    /// Workers for which a health check has found it unhealthy.
    package var unhealthyCount = 0
    /// Workers that have taken it out for what it answered.
    package var ejectedCount = 0

    /// Makes the condition of an endpoint of which nothing is known.
    package init() {}

    /// Adds what another worker knows.
    mutating func add(_ other: EndpointCondition) {
        requestCount += other.requestCount
        unhealthyCount += other.unhealthyCount
        ejectedCount += other.ejectedCount
    }
}
