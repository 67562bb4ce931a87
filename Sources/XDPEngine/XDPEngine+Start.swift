import CMeshMaps
import LinuxSystem

extension XDPEngine {
    func startLocked(_ state: inout State) {
        guard configuration.mode != .off else { return turnOff(&state, "xdp.mode is off") }
        guard configuration.interfaces != .none, configuration.interfaces != .named([]) else {
            return turnOff(&state, "xdp.interfaces names none")
        }
        let names = wantedInterfaces()
        guard !names.isEmpty else {
            return turnOff(&state, "xdp.interfaces is auto, and there is no default route")
        }
        preparePins(&state)
        guard load(&state) else { return }
        takeOverOtherLayouts(&state)
        claim(&state)
        dropForgottenLinks(&state, keeping: names)
        for name in names { attach(name, &state) }
        noteWhetherOn(&state)
    }

    /// Puts the shield on interfaces that were missing, came back, or were given up by another
    /// program; to be called about once a second. Takes it off none.
    ///
    /// - Returns: the faults that stand.
    @discardableResult
    package func repair() -> [XDPFault] {
        state.withLock { state in
            guard state.object != nil else { return state.faults }
            for name in wantedInterfaces() where !isAttached(name, state) {
                state.attachments[name] = nil
                state.faults.removeAll { $0.part == "interface \(name)" }
                attach(name, &state)
            }
            noteWhetherOn(&state)
            return state.faults
        }
    }

    private func isAttached(_ name: String, _ state: State) -> Bool {
        guard let attachment = state.attachments[name],
            let facts = try? attachment.link.facts()
        else { return false }
        return facts.interface == NetworkInterface.index(of: name)
    }

    private func noteWhetherOn(_ state: inout State) {
        state.offReason = state.attachments.isEmpty ? "no interface could be attached to" : nil
    }

    private func wantedInterfaces() -> [String] {
        switch configuration.interfaces {
        case .none: []
        case .automatic: DefaultRoutes.current().interfaces
        case .named(let list): list
        }
    }

    /// What an earlier agent pinned must not go on once the shield is switched off.
    private func turnOff(_ state: inout State, _ reason: String) {
        state.offReason = reason
        do throws(Errno) {
            try XDPEngine.cleanup(
                pinDirectory: configuration.pinDirectory,
                nodeName: configuration.nodeName
            )
        } catch {
            state.faults.append(XDPFault(part: "pins", reason: "could not be removed: \(error)"))
        }
    }

    private func preparePins(_ state: inout State) {
        let pins = PinDirectory(
            root: configuration.pinDirectory,
            node: configuration.nodeName,
            layout: configuration.layout
        )
        do throws(Errno) {
            try pins.prepare()
            state.pins = pins
        } catch {
            state.faults.append(
                XDPFault(
                    part: "pins",
                    reason: "expected a BPF file system at \(pins.root), got \(error); "
                        + "blocks will not outlive the agent"
                )
            )
        }
    }

    private func load(_ state: inout State) -> Bool {
        let bytes = EmbeddedObject.shield
        do throws(LoadError) {
            let fresh = try openObject(bytes, state)
            state.object = fresh
        } catch {
            state.offReason = "the shield could not be loaded"
            state.faults.append(XDPFault(part: "xdp", reason: "\(error.text): \(error.errno)"))
            return false
        }
        return true
    }

    /// Loads with the pinned maps; one that has not the shape of this build is left for a new one.
    private func openObject(_ bytes: [UInt8], _ state: State) throws(LoadError) -> LoadedObject {
        guard let pins = state.pins else {
            return try ObjectLoader.load(
                object: bytes,
                program: "shield",
                reusing: [:],
                entries: configuration.mapEntries
            )
        }
        var pinned: [String: KernelMap] = [:]
        for name in (try? FileSystem.names(in: pins.path)) ?? [] where name.hasPrefix("map_") {
            let mapName = String(name.dropFirst("map_".count))
            if let map = try? KernelMap(name: mapName, pinnedAt: "\(pins.path)/\(name)"),
                ShieldShape.fits(map)
            {
                pinned[mapName] = map
            } else {
                _ = try? FileSystem.remove("\(pins.path)/\(name)")
            }
        }
        let object = try ObjectLoader.load(
            object: bytes,
            program: "shield",
            reusing: pinned,
            entries: configuration.mapEntries
        )
        for (name, map) in object.maps where pinned[name] == nil && !name.contains(".") {
            do throws(Errno) {
                try map.pin(at: pins.mapPath(name))
            } catch {
                throw LoadError(errno: error, text: "the map \(name) could not be pinned")
            }
        }
        return object
    }

    /// Makes this agent the node's writer.
    private func claim(_ state: inout State) {
        guard let map = state.object?.maps["writer"] else { return }
        let key = Layout.bytes(of: UInt32(0))
        do throws(Errno) {
            let old = try map.value(key).flatMap { Layout.value($0, as: mesh_writer.self) }
            state.generation = (old?.generation ?? 0) + 1
            let mine = mesh_writer(generation: state.generation, applied_version: 0)
            try map.update(key, Layout.bytes(of: mine))
            try refreshConfig(&state)
        } catch {
            state.faults.append(XDPFault(part: "xdp", reason: "cannot write its maps: \(error)"))
        }
    }

    /// Links of interfaces that are no longer asked for.
    private func dropForgottenLinks(_ state: inout State, keeping names: [String]) {
        guard let pins = state.pins else { return }
        for name in pins.linkedInterfaces() where !names.contains(name) {
            try? pins.removeLink(interface: name)
        }
    }
}

/// The sizes that this build expects of a pinned map.
enum ShieldShape {
    private static let sizes: [String: (key: Int, value: Int)] = [
        "config": (4, MemoryLayout<mesh_config>.stride),
        "writer": (4, MemoryLayout<mesh_writer>.stride),
        "reasons": (4, MemoryLayout<mesh_tally>.stride),
        "blocks": (MemoryLayout<mesh_block_key>.stride, MemoryLayout<mesh_block>.stride),
        "block_prefixes": (MemoryLayout<mesh_prefix>.stride, MemoryLayout<mesh_block>.stride),
        "allow": (MemoryLayout<mesh_prefix>.stride, MemoryLayout<mesh_allow>.stride),
        "deny": (MemoryLayout<mesh_prefix>.stride, MemoryLayout<mesh_deny>.stride),
        "deny_filter4": (4, 8),
        "deny_filter6": (4, 8),
        "destinations": (
            MemoryLayout<mesh_destination_key>.stride, MemoryLayout<mesh_destination>.stride
        ),
        "sources": (MemoryLayout<mesh_address>.stride, MemoryLayout<mesh_source>.stride),
        "policies": (8, MemoryLayout<mesh_tally>.stride),
        "events": (0, 0),
        "header_copies": (4, Int(MESH_HEADER_WINDOW) + 64),
    ]

    static func fits(_ map: KernelMap) -> Bool {
        guard let size = sizes[map.name] else { return false }
        return size == (map.keyByteCount, map.valueByteCount)
    }
}
