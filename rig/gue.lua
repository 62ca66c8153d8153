-- GUE for tshark, which knows none: header, second chance, and the packet within. tshark -X lua_script:rig/gue.lua
local gue = Proto("gue", "Generic UDP Encapsulation")
local fields = {
	form = ProtoField.uint8("gue.form", "Version, control, words that follow", base.HEX),
	protocol = ProtoField.uint8("gue.protocol", "Protocol"),
	flags = ProtoField.uint16("gue.flags", "Flags", base.HEX),
	magic = ProtoField.string("gue.chance.magic", "Magic"),
	version = ProtoField.uint8("gue.chance.version", "Version"),
	hops = ProtoField.uint8("gue.chance.hops", "Hops"),
	zero = ProtoField.uint8("gue.chance.zero", "Zero"),
	alternate = ProtoField.ipv6("gue.chance.alternate", "Alternate"),
}
gue.fields = fields

function gue.dissector(buffer, pinfo, tree)
	local bytes = 4 + 4 * (buffer(0, 1):uint() % 32)
	local branch = tree:add(gue, buffer(0, bytes))
	branch:add(fields.form, buffer(0, 1))
	branch:add(fields.protocol, buffer(1, 1))
	branch:add(fields.flags, buffer(2, 2))
	if bytes == 24 then
		branch:add(fields.magic, buffer(4, 1))
		branch:add(fields.version, buffer(5, 1))
		branch:add(fields.hops, buffer(6, 1))
		branch:add(fields.zero, buffer(7, 1))
		branch:add(fields.alternate, buffer(8, 16))
	end
	DissectorTable.get("ip.proto"):try(buffer(1, 1):uint(), buffer(bytes):tvb(), pinfo, tree)
end

DissectorTable.get("udp.port"):add(6080, gue)
