/// When a filter is called in the life of an exchange.
public struct FilterPhases: OptionSet, BitwiseCopyable, Sendable {
    /// The bits.
    public let rawValue: UInt16

    /// Makes a set of bits.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The request's head has arrived.
    package static let requestHeaders = FilterPhases(rawValue: 1 << 0)
    /// A piece of the request's body has arrived.
    package static let requestData = FilterPhases(rawValue: 1 << 1)
    /// The request's trailers have arrived.
    package static let requestTrailers = FilterPhases(rawValue: 1 << 2)
    /// The whole request is there, as the filter asked with `waitForAll`.
    package static let request = FilterPhases(rawValue: 1 << 3)
    /// The response's head has arrived.
    package static let responseHeaders = FilterPhases(rawValue: 1 << 4)
    /// A piece of the response's body has arrived.
    package static let responseData = FilterPhases(rawValue: 1 << 5)
    /// The response's trailers have arrived.
    package static let responseTrailers = FilterPhases(rawValue: 1 << 6)
    /// The whole response is there, as the filter asked with `waitForAll`.
    package static let response = FilterPhases(rawValue: 1 << 7)
    /// The exchange has ended.
    package static let log = FilterPhases(rawValue: 1 << 8)
}

/// What a filter wants done.
public enum FilterAction: Sendable {
    /// Go on with the next filter.
    case proceed
    /// Answer with this; the exchange goes no further.
    case reply(LocalReply)
    /// Call again in phase `request` (or `response`) once the whole body is there; from the two
    /// header phases only. A request's body of more than `byteLimit` bytes is answered with 413, a
    /// response's with 500.
    case waitForAll(byteLimit: Int)
    /// Hold the head until the first piece of the body, or its end, has been seen; from phase
    /// `responseHeaders` only.
    case waitForData
    /// Hold this direction of the exchange until `HTTPProxy.resume` is called with its token, or
    /// answer 500 once the deadline has passed; from every phase but `log`.
    case pause(deadline: Duration)
}

/// A filter failed; its exchange is answered with 500.
public struct FilterError: Error, Sendable {
    /// What went wrong, for people.
    package var reason: String

    /// Makes an error.
    package init(_ reason: String) { self.reason = reason }
}

/// One plugin at work on one worker. Called on the worker's thread only: no locks, no waiting, no
/// allocation for exchanges that pass.
open class Filter {
    /// The plugin's name, as logs show it.
    package final let name: String
    /// When it wants to be called.
    package final let phases: FilterPhases
    /// Whether it puts other bytes in the place of pieces of bodies. Its data phases are then called
    /// once more at a body's end, trailers or not, so that what it has held back can go on.
    package final let replacesData: Bool
    /// How long one call may take, nanoseconds; a longer one is an overrun and costs a 500.
    package final let timeBudgetNanoseconds: UInt64

    /// What it is called for and does, together with the others of its plugin and policy.
    package final var tally = FilterTally()

    /// The time a call may take where the filter does not say.
    public static let timeBudgetDefault = Duration.milliseconds(5)

    /// Makes a filter.
    public init(
        name: String,
        phases: FilterPhases,
        timeBudget: Duration = Filter.timeBudgetDefault,
        replacesData: Bool = false
    ) {
        self.replacesData = replacesData
        self.name = name
        self.phases = phases
        timeBudgetNanoseconds = timeBudget.wholeNanoseconds
    }

    /// Phase `requestHeaders`.
    ///
    /// - Parameter endStream: whether the request has no body.
    open func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `requestData`.
    open func requestData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `requestTrailers`.
    open func requestTrailers(
        _ context: FilterContext
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `request`.
    open func request(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `responseHeaders`.
    ///
    /// - Parameter endStream: whether the response has no body.
    open func responseHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `responseData`.
    open func responseData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `responseTrailers`.
    open func responseTrailers(
        _ context: FilterContext
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `response`.
    open func response(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction { .proceed }

    /// Phase `log`: the exchange has ended; called for local replies and broken exchanges as well.
    open func log(_ context: FilterContext) {}

    /// A client broke the protocol before there was an exchange.
    open func protocolAbuse(_ context: FilterContext) {}
}

/// The filters of one route on one worker, in order of execution.
package struct FilterChain {
    /// The filters.
    package let filters: [Filter]
    /// The union of their phases.
    package let phases: FilterPhases
    /// Whether one of them replaces pieces of bodies.
    package let replacesData: Bool
    /// Set where a plugin's configuration was never valid: every request is answered with 500.
    package let fault: String?

    /// Makes a chain.
    package init(_ filters: [Filter], fault: String? = nil) {
        self.filters = filters
        self.fault = fault
        phases = filters.reduce(into: []) { $0.formUnion($1.phases) }
        replacesData = filters.contains { $0.replacesData }
    }
}

/// Names a paused exchange, for the resumption from another thread.
package struct FilterToken: Hashable, Sendable {
    let index: Int32
    let generation: UInt32
    /// The number of the call that paused.
    let call: UInt32
}
