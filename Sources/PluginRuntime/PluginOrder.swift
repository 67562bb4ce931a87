/// Where in the chain a plugin runs: by position, then first or last within it, then by name.
package struct PluginOrder: Comparable, Sendable {
    /// The positions, in order of execution.
    package enum Position: Int, Comparable, Sendable, CaseIterable {
        case listener, network, outer, access, authn, authz, traffic, transform, unspecified
        case beforeUpstream, stats, inner

        /// By the order of execution.
        package static func < (left: Position, right: Position) -> Bool {
            left.rawValue < right.rawValue
        }
    }

    /// The place within a position.
    package enum Operation: Int, Sendable {
        case first, none, last
    }

    /// The position.
    package let position: Position
    /// The place within it.
    package let operation: Operation
    /// The plugin's name.
    package let name: String

    /// Makes an order.
    package init(_ position: Position, _ operation: Operation = .none, name: String) {
        self.position = position
        self.operation = operation
        self.name = name
    }

    /// Position, operation, name (byte-wise).
    package static func < (left: PluginOrder, right: PluginOrder) -> Bool {
        if left.position != right.position { return left.position < right.position }
        if left.operation != right.operation {
            return left.operation.rawValue < right.operation.rawValue
        }
        return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }
}
