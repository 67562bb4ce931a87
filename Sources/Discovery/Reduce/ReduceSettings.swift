import Addressing
import MeshModel

/// What reducing needs to know besides the objects.
package struct ReduceSettings: Sendable {
    /// This node's name.
    package var nodeName: String
    /// Whether objects come from a directory: pods without a node are then this node's.
    package var isManifestMode: Bool
    /// Says why a plugin's configuration is refused; `nil` when it is valid.
    package var validatePlugin: @Sendable (String, JSONValue) -> String?
    /// Says why a consumer's credential is refused; `nil` when it is valid.
    package var validateCredential: @Sendable (String, JSONValue) -> String?

    /// Makes settings.
    package init(
        nodeName: String,
        isManifestMode: Bool,
        validatePlugin: @escaping @Sendable (String, JSONValue) -> String? = { _, _ in nil },
        validateCredential: @escaping @Sendable (String, JSONValue) -> String? = { _, _ in nil }
    ) {
        self.nodeName = nodeName
        self.isManifestMode = isManifestMode
        self.validatePlugin = validatePlugin
        self.validateCredential = validateCredential
    }
}
