import DataPlane
import MeshModel
import Telemetry

/// Why a plugin's configuration is refused.
package struct PluginFault: Error, Equatable, Sendable {
    /// `field: expected …, found …`.
    package let reason: String

    /// Makes a fault.
    package init(_ reason: String) { self.reason = reason }
}

/// A plugin as it is registered.
package protocol PluginDefinition: Sendable {
    /// Its name in policies.
    var name: String { get }
    /// When it runs.
    var order: PluginOrder { get }
    /// Whether Consumers may carry its credentials.
    var isConsumerPlugin: Bool { get }

    /// Validates a configuration; cheap, without input or output.
    func validate(_ configuration: JSONValue) throws(PluginFault)

    /// Validates a Consumer's credential; only for consumer plugins.
    func validateCredential(_ credential: JSONValue) throws(PluginFault)

    /// Makes the filter of one worker.
    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter
}

extension PluginDefinition {
    /// Most plugins have no credentials.
    package var isConsumerPlugin: Bool { false }

    /// Most plugins have no credentials.
    package func validateCredential(_ credential: JSONValue) throws(PluginFault) {
        throw PluginFault("\(name): expected a consumer plugin")
    }
}

/// What a filter may use besides its context, on its worker.
package final class PluginHost {
    /// The consumers in force and the chains that follow once one is known.
    package internal(set) var consumers = ConsumerTable()
    /// Offences of sources, counted over all workers.
    package let offences: OffenceTable
    /// How many bodies may be changed in passing at once.
    package let bodies: BodyBounds

    init(offences: OffenceTable, bodies: BodyBounds) {
        self.offences = offences
        self.bodies = bodies
    }
}

/// Bodies that a filter changes in passing at once, each with memory of a library's, and how often
/// one more came. Any thread.
package final class BodyBounds: Sendable {
    /// Of one filter on one worker.
    package let bodyMax: Int
    /// Responses that passed as they were.
    package let compressions = SharedCounter()
    /// Requests that were answered 503.
    package let decompressions = SharedCounter()

    /// Makes bounds that were never reached.
    package init(bodyMax: Int) { self.bodyMax = bodyMax }
}
