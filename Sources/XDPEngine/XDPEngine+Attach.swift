import LinuxSystem

extension XDPEngine {
    /// Puts the shield on one interface, by the pinned link if there is one. Another program there
    /// is left alone.
    func attach(_ name: String, _ state: inout State) {
        let part = "interface \(name)"
        guard let program = state.object?.program else { return }
        guard let index = NetworkInterface.index(of: name) else {
            state.faults.append(XDPFault(part: part, reason: "there is no such interface"))
            return
        }
        if let pins = state.pins, adopt(name, index, program, pins, &state) { return }
        do throws(Errno) {
            let programs = try KernelLink.programs(on: index)
            guard programs.isEmpty else {
                state.faults.append(
                    XDPFault(
                        part: part,
                        reason: "expected no other XDP program, found \(programs.text); "
                            + "it was left in place and the shield is off here"
                    )
                )
                return
            }
            let (link, mode) = try create(program, index)
            if configuration.mode == .automatic && mode == .generic {
                state.faults.append(
                    XDPFault(part: part, reason: "native XDP was refused; attached as generic")
                )
            }
            try state.pins.map { pins throws(Errno) in
                try link.pin(at: pins.linkPath(interface: name))
            }
            state.attachments[name] = Attachment(link: link, index: index, mode: mode)
        } catch {
            let wanted = configuration.mode.rawValue
            state.faults.append(
                XDPFault(part: part, reason: "could not be attached to (mode \(wanted)): \(error)")
            )
        }
    }

    private func create(
        _ program: KernelProgram,
        _ index: UInt32
    ) throws(Errno) -> (KernelLink, AttachMode) {
        if configuration.mode != .generic {
            do throws(Errno) {
                return (try KernelLink.attach(program, interface: index, mode: .native), .native)
            } catch {
                guard configuration.mode == .automatic else { throw error }
            }
        }
        return (try KernelLink.attach(program, interface: index, mode: .generic), .generic)
    }

    /// Takes over a pinned link by replacing its program in one step.
    ///
    /// - Returns: whether the interface is dealt with.
    private func adopt(
        _ name: String,
        _ index: UInt32,
        _ program: KernelProgram,
        _ pins: PinDirectory,
        _ state: inout State
    ) -> Bool {
        let path = pins.linkPath(interface: name)
        guard let link = try? KernelLink.open(pinnedAt: path) else { return false }
        do throws(Errno) {
            let facts = try link.facts()
            let programs = try KernelLink.programs(on: index)
            let mode: AttachMode = programs.native != 0 ? .native : .generic
            let isWanted =
                configuration.mode == .automatic || configuration.mode.rawValue == mode.rawValue
            guard facts.interface == index, isWanted else {
                try pins.removeLink(interface: name)
                return false
            }
            try link.replace(with: program, expecting: facts.program)
            state.attachments[name] = Attachment(link: link, index: index, mode: mode)
        } catch {
            state.faults.append(
                XDPFault(
                    part: "interface \(name)",
                    reason: "the pinned link could not be updated: \(error); it was left as it is"
                )
            )
        }
        return true
    }

    /// Copies what other layouts hold, moves their links to this program, and removes them.
    func takeOverOtherLayouts(_ state: inout State) {
        guard let pins = state.pins, let object = state.object else { return }
        for layout in pins.otherLayouts() {
            let old = pins.with(layout: layout)
            do throws(Errno) {
                try LayoutCopy.copy(from: old, into: object)
                for name in old.linkedInterfaces() {
                    let link = try KernelLink.open(pinnedAt: old.linkPath(interface: name))
                    let facts = try link.facts()
                    if facts.interface != 0 {
                        try link.replace(with: object.program, expecting: facts.program)
                        try link.pin(at: pins.linkPath(interface: name))
                    }
                }
                try old.removeAll()
            } catch {
                state.faults.append(
                    XDPFault(part: "pins", reason: "\(old.path) was not taken over: \(error)")
                )
            }
        }
    }
}

/// Carries the contents of another layout's maps over.
enum LayoutCopy {
    private static let blockMaps = ["blocks", "block_prefixes"]
    /// Derived from objects, and so copied only to shield until the first snapshot is applied.
    private static let derivedMaps = [
        "allow", "deny", "deny_filter4", "deny_filter6", "destinations", "config",
    ]

    static func copy(from old: PinDirectory, into object: LoadedObject) throws(Errno) {
        for name in blockMaps {
            guard let (source, target) = pair(name, old, object) else { continue }
            for key in try source.keys() {
                guard let value = try source.value(key) else { continue }
                try target.update(key, BlockRecord.migrated(value: value))
            }
        }
        for name in derivedMaps {
            guard let (source, target) = pair(name, old, object), source.hasShape(of: target)
            else { continue }
            for key in try source.keys() {
                guard let value = try source.value(key), value.contains(where: { $0 != 0 })
                else { continue }
                try target.update(key, value)
            }
        }
    }

    private static func pair(
        _ name: String,
        _ old: PinDirectory,
        _ object: LoadedObject
    ) -> (KernelMap, KernelMap)? {
        guard let source = try? KernelMap(name: name, pinnedAt: old.mapPath(name)),
            let target = object.maps[name], source.keyByteCount == target.keyByteCount
        else { return nil }
        return (source, target)
    }
}
