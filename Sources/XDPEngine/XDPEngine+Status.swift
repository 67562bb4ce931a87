import LinuxSystem

extension XDPEngine {
    /// What the packet layer is and has seen, read from the kernel now.
    package func status() -> XDPStatus {
        state.withLock { state in
            var status = XDPStatus(
                interfaces: [],
                offReason: state.offReason,
                reasons: [:],
                policies: [:],
                blockCount: 0,
                faults: state.faults + state.planFaults,
                appliedVersion: state.appliedVersion,
                generation: state.generation,
                pinPath: state.pins?.path
            )
            guard let object = state.object else { return status }
            let maps = ShieldMaps(object)
            status.reasons = (try? maps.reasons()) ?? [:]
            let tallies = (try? maps.tallies(Set(state.policyNames.keys))) ?? [:]
            for (policy, tally) in tallies {
                if let name = state.policyNames[policy] { status.policies[name] = tally }
            }
            for name in ["blocks", "block_prefixes"] {
                status.blockCount += (try? object.maps[name]?.keys().count) ?? 0
            }
            addInterfaces(state, &status)
            return status
        }
    }

    /// Samples of dropped packets since the last call.
    package func drainSamples() -> [DropSample] {
        state.withLock { state in
            state.object?.maps["events"].map(EventRing.drain) ?? []
        }
    }

    /// The loaded shield, for running it on given frames; `nil` where it is off.
    package var program: KernelProgram? {
        state.withLock { $0.object?.program }
    }

    private func addInterfaces(_ state: State, _ status: inout XDPStatus) {
        for (name, attachment) in state.attachments.sorted(by: { $0.key < $1.key }) {
            guard let facts = try? attachment.link.facts() else { continue }
            guard facts.interface == attachment.index else {
                status.faults.append(
                    XDPFault(
                        part: "interface \(name)",
                        reason: "it is gone, and the shield with it"
                    )
                )
                continue
            }
            if let mine = state.object?.program.identifier, mine != facts.program {
                status.faults.append(
                    XDPFault(
                        part: "interface \(name)",
                        reason: "another program took the link over"
                    )
                )
            }
            status.interfaces.append(
                XDPStatus.Interface(
                    name: name,
                    index: attachment.index,
                    mode: attachment.mode,
                    programID: facts.program,
                    linkID: facts.link
                )
            )
        }
    }
}
