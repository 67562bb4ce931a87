/// One plugin with its configuration, as a FilterPolicy attaches it.
package struct PluginBinding: Hashable, Sendable {
    /// The plugin's registered name, such as `keyAuth`.
    package var name: String
    /// Its configuration, decoded and validated by the plugin itself.
    package var configuration: JSONValue
    /// The FilterPolicy that attaches it.
    package var policy: ObjectKey

    /// Makes a binding.
    package init(name: String, configuration: JSONValue, policy: ObjectKey) {
        self.name = name
        self.configuration = configuration
        self.policy = policy
    }
}

/// A Consumer (`htnn.mosn.io/v1`): a user known by credentials.
package struct Consumer: Equatable, Sendable {
    /// The object; consumers are looked up within a policy's namespace.
    package let key: ObjectKey
    /// Its name towards plugins; the object's name unless given.
    package var name: String
    /// Credentials, by consumer plugin name.
    package var auth: [PluginBinding]
    /// Plugins that run once this consumer is known.
    package var filters: [PluginBinding]

    /// Makes a consumer.
    package init(key: ObjectKey, name: String, auth: [PluginBinding], filters: [PluginBinding]) {
        self.key = key
        self.name = name
        self.auth = auth
        self.filters = filters
    }
}
