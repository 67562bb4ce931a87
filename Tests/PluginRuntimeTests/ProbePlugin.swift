import DataPlane
import MeshModel

@testable import PluginRuntime

/// A plugin of the tests: adds a header with its number of calls, throws, overruns or replies, as
/// its configuration says.
struct ProbePlugin: PluginDefinition {
    let name: String
    let order: PluginOrder

    init(
        _ name: String,
        _ position: PluginOrder.Position = .unspecified,
        _ operation: PluginOrder.Operation = .none
    ) {
        self.name = name
        order = PluginOrder(position, operation, name: name)
    }

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        var reader = try ConfigurationReader(configuration)
        _ = try reader.string("does")
        try reader.finish()
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        try validate(binding.configuration)
        var does = "count"
        if case .string(let text)? = binding.configuration["does"] { does = text }
        return ProbeFilter(name, does)
    }
}

final class ProbeFilter: Filter {
    private let does: String
    private(set) var callCount = 0
    /// Called within each call.
    var whileRunning: () -> Void = {}

    init(_ name: String, _ does: String) {
        self.does = does
        super.init(name: name, phases: .requestHeaders, timeBudget: .milliseconds(5))
    }

    override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        callCount += 1
        whileRunning()
        if does == "throw" { throw FilterError("as configured") }
        if does == "reply" { return .reply(LocalReply(status: 418)) }
        let value = "\(name)=\(callCount)"
        _ = "x-probe".withBytes { line in
            value.withBytes { context.addRequestHeader(named: line, value: $0) }
        }
        return .proceed
    }
}
