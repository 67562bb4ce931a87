import DataPlane
import MeshModel

/// `sourceGuard`: a source that earns too many refusals within a window is blocked at the listener,
/// in the packet layer.
struct SourceGuard: PluginDefinition {
    let name = "sourceGuard"
    let order = PluginOrder(.access, .first, name: "sourceGuard")

    struct Settings: Equatable {
        /// Answers that count as offences.
        var statuses: [UInt16] = [401, 403, 429]
        /// How many within the window earn a block.
        var offences = 5
        /// Slides: any stretch of this length counts.
        var window = Duration.seconds(10)
        /// For how long; repeated blocks grow.
        var block = Duration.seconds(30)
        /// Only count.
        var dryRun = false

        init(_ configuration: JSONValue) throws(PluginFault) {
            var reader = try ConfigurationReader(configuration)
            if let list = try reader.list("statuses") {
                statuses = []
                for item in list {
                    guard case .integer(let status) = item, (100...599).contains(status) else {
                        throw PluginFault(
                            "statuses: expected codes of 100...599, found \(item.text)"
                        )
                    }
                    statuses.append(UInt16(status))
                }
            }
            let most = Int64(OffenceTable.offenceMax)
            offences = Int(try reader.integer("offences", 1...most) ?? 5)
            if let written = try reader.duration("window") { window = written }
            if let written = try reader.duration("block") { block = written }
            guard block <= .seconds(60) else {
                throw PluginFault("block: expected at most \"60s\", found \(block)")
            }
            dryRun = try reader.bool("dryRun") ?? false
            try reader.finish()
        }
    }

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        _ = try Settings(configuration)
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        SourceGuardFilter(try Settings(binding.configuration), binding, host)
    }
}

/// Counts a source's offences on the policy's target.
final class SourceGuardFilter: Filter {
    private let settings: SourceGuard.Settings
    private let owner: BlockOwner
    private let reason: String
    private let policy: UInt64
    private let offences: OffenceTable
    private let windowMilliseconds: UInt64

    init(_ settings: SourceGuard.Settings, _ binding: PluginBinding, _ host: PluginHost) {
        self.settings = settings
        offences = host.offences
        owner = .plugin(name: binding.name, policy: binding.policy)
        policy = binding.policy.path.utf8.reduce(0xcbf2_9ce4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        windowMilliseconds = UInt64(settings.window / .milliseconds(1))
        reason =
            "\(settings.offences) refusals within \(windowMilliseconds) ms"
        super.init(name: binding.name, phases: .log)
    }

    public override func log(_ context: FilterContext) {
        let status = context.status
        for counted in settings.statuses where counted == status {
            offend(context)
            return
        }
    }

    public override func protocolAbuse(_ context: FilterContext) { offend(context) }

    private func offend(_ context: FilterContext) {
        let source = context.peer.ip
        guard
            offences.record(
                source,
                policy: policy,
                offences: settings.offences,
                windowMilliseconds: windowMilliseconds,
                nowMilliseconds: context.nowNanoseconds / 1_000_000
            )
        else { return }
        context.block(
            for: settings.block,
            reason: reason,
            owner: owner,
            dryRun: settings.dryRun
        )
    }
}
